#if canImport(CoreML)
  import CoreML
  import Foundation
  import GoldenVectors

  /// Core ML on each of its compute units.
  public struct CoreMLEngine: Engine {
    public let name = "Core ML"
    public let version: String

    public init(systemVersion: String) { version = systemVersion }

    public var units: [(unit: Accelerator, missing: String?)] {
      [
        (Accelerator(.cpu, "CPU"), nil),
        (Accelerator(.gpu, "CPU and GPU"), nil),
        (Accelerator(.npu, "CPU and Neural Engine"), Self.missingNeuralEngine),
        (Accelerator(.any, "all units"), nil),
      ]
    }

    public func load(_ url: URL, on unit: Accelerator) async throws -> LoadedModel {
      let configuration = MLModelConfiguration()
      configuration.computeUnits = try Self.computeUnits(unit.kind)
      let compiled = try Self.compile(url)
      do {
        let model = try MLModel(contentsOf: compiled, configuration: configuration)
        return CoreMLModel(model: model, compiled: compiled, configuration: configuration)
      } catch {
        try? FileManager.default.removeItem(at: compiled)
        throw error
      }
    }

    /// The asynchronous variant needs a newer system than this package does.
    private static func compile(_ url: URL) throws -> URL { try MLModel.compileModel(at: url) }

    private static func computeUnits(_ kind: AcceleratorKind) throws -> MLComputeUnits {
      switch kind {
      case .cpu: return .cpuOnly
      case .gpu: return .cpuAndGPU
      case .npu:
        guard #available(iOS 16.0, macOS 13.0, *) else { throw VerifyError(tooOld) }
        return .cpuAndNeuralEngine
      case .any: return .all
      }
    }

    private static let tooOld = "iOS 16 or macOS 13 is needed to choose the Neural Engine"

    private static var missingNeuralEngine: String? {
      guard #available(iOS 16.0, macOS 13.0, *) else { return tooOld }
      guard #available(iOS 17.0, macOS 14.0, *) else { return nil }
      let hasOne = MLModel.availableComputeDevices.contains {
        if case .neuralEngine = $0 { return true }
        return false
      }
      return hasOne ? nil : "no Neural Engine on this device"
    }
  }

  /// A loaded model and its compiled form, which is removed with it.
  final class CoreMLModel: LoadedModel {
    private let model: MLModel
    private let compiled: URL
    private let configuration: MLModelConfiguration

    init(model: MLModel, compiled: URL, configuration: MLModelConfiguration) {
      self.model = model
      self.compiled = compiled
      self.configuration = configuration
    }

    deinit { try? FileManager.default.removeItem(at: compiled) }

    var takesPictures: Bool {
      model.modelDescription.inputDescriptionsByName.values.contains { $0.type == .image }
    }

    func placements() async -> [Placement] {
      guard #available(iOS 17.4, macOS 14.4, *) else { return [] }
      return await plannedPlacements(of: compiled, with: configuration)
    }

    func run(_ input: Input) async throws -> [String: Tensor] {
      let value =
        takesPictures
        ? MLFeatureValue(pixelBuffer: try pixelBuffer(of: input))
        : MLFeatureValue(multiArray: try multiArray(of: input.tensor))
      let features = try MLDictionaryFeatureProvider(dictionary: [input.name: value])
      let outputs = try prediction(from: features)
      var tensors: [String: Tensor] = [:]
      for name in outputs.featureNames {
        if let array = outputs.featureValue(for: name)?.multiArrayValue {
          tensors[name] = try tensor(of: array)
        }
      }
      return tensors
    }

    /// Synchronous on purpose: what is timed is one prediction, without a queue before it.
    private func prediction(from features: MLFeatureProvider) throws -> MLFeatureProvider {
      try model.prediction(from: features)
    }
  }

  /// What Core ML plans to run where; empty where it does not say.
  @available(iOS 17.4, macOS 14.4, *)
  private func plannedPlacements(
    of compiled: URL, with configuration: MLModelConfiguration
  ) async -> [Placement] {
    guard
      let plan = try? await MLComputePlan.load(contentsOf: compiled, configuration: configuration),
      case .program(let program) = plan.modelStructure, let main = program.functions["main"]
    else { return [] }
    var counts: [AcceleratorKind: Int] = [:]
    for operation in main.block.operations where operation.operatorName != "const" {
      guard let usage = plan.deviceUsage(for: operation) else { continue }
      counts[kind(of: usage.preferred), default: 0] += 1
    }
    return [AcceleratorKind.npu, .gpu, .cpu, .any].compactMap { kind in
      counts[kind].map { Placement(kind, $0) }
    }
  }

  @available(iOS 17.0, macOS 14.0, *)
  private func kind(of device: MLComputeDevice) -> AcceleratorKind {
    switch device {
    case .cpu: return .cpu
    case .gpu: return .gpu
    case .neuralEngine: return .npu
    @unknown default: return .any
    }
  }
#endif
