#if canImport(CoreAI)
  import CoreAI
  import Foundation
  import GoldenVectors
  import PhoneproofCore

  /// Core AI on each of its compute units.
  @available(iOS 27.0, macOS 27.0, *)
  public struct CoreAIEngine: Engine {
    public let name = "Core AI"
    public let version: String

    public init(systemVersion: String) { version = systemVersion }

    public var units: [(unit: Accelerator, missing: String?)] {
      let kinds = ComputeUnitKind.availableKinds
      return [
        (Accelerator(.cpu, "CPU"), nil),
        (Accelerator(.gpu, "GPU preferred"), kinds.contains(.gpu) ? nil : Self.missing),
        (
          Accelerator(.npu, "Neural Engine preferred"),
          kinds.contains(.neuralEngine) ? nil : Self.missing
        ),
        (Accelerator(.any, "all units"), nil),
      ]
    }

    private static let missing = "not on this device"

    public func load(_ url: URL, on unit: Accelerator) async throws -> LoadedModel {
      let model = try await AIModel(contentsOf: url, options: Self.options(unit.kind))
      guard let function = try model.loadFunction(named: "main") else {
        throw VerifyError("\(url.lastPathComponent) has no function main")
      }
      return CoreAIModel(function: function)
    }

    private static func options(_ kind: AcceleratorKind) -> SpecializationOptions {
      switch kind {
      case .cpu: return .cpuOnly
      case .gpu: return SpecializationOptions(preferredComputeUnitKind: .gpu)
      case .npu: return SpecializationOptions(preferredComputeUnitKind: .neuralEngine)
      case .any: return .default
      }
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  final class CoreAIModel: LoadedModel {
    private let function: InferenceFunction

    init(function: InferenceFunction) { self.function = function }

    var takesPictures: Bool { false }

    /// Core AI does not say where an operator runs.
    func placements() async -> [Placement] { [] }

    func run(_ input: Input) async throws -> [String: Tensor] {
      let array = try ndArray(of: input.tensor)
      var outputs = try await function.run(inputs: [input.name: array])
      var tensors: [String: Tensor] = [:]
      for name in Array(outputs.names) {
        guard let array = outputs.remove(name)?.ndArray else { continue }
        tensors[name] = try tensor(of: array)
      }
      return tensors
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  private func ndArray(of tensor: Tensor) throws -> NDArray {
    switch tensor.type {
    case .float32:
      var array = NDArray(shape: tensor.shape, scalarType: .float32)
      var view = array.mutableView(as: Float.self)
      view.copyElements(fromContentsOf: tensor.elements(as: Float.self))
      return array
    #if arch(arm64)
      case .float16:
        var array = NDArray(shape: tensor.shape, scalarType: .float16)
        var view = array.mutableView(as: Float16.self)
        view.copyElements(fromContentsOf: tensor.elements(as: Float16.self))
        return array
    #endif
    default:
      throw VerifyError("Core AI is not fed \(tensor.type.rawValue) by this kit")
    }
  }

  /// Arrays that `run` returns are dense and in row-major order.
  @available(iOS 27.0, macOS 27.0, *)
  private func tensor(of array: NDArray) throws -> Tensor {
    switch array.scalarType {
    case .float32: return try copy(of: array, as: Float.self, type: .float32)
    case .int32: return try copy(of: array, as: Int32.self, type: .int32)
    #if arch(arm64)
      case .float16: return try copy(of: array, as: Float16.self, type: .float16)
    #endif
    default: throw VerifyError("an output has a type that is not handled (\(array.scalarType))")
    }
  }

  @available(iOS 27.0, macOS 27.0, *)
  private func copy<Element: BitwiseCopyable>(
    of array: NDArray, as type: Element.Type, type name: ElementType
  ) throws -> Tensor {
    let (shape, bytes) = array.view(as: type).withUnsafePointer { pointer, sizes, _ in
      let shape = (0..<sizes.count).map { sizes[$0] }
      let count = shape.reduce(1, *)
      return (shape, Data(buffer: UnsafeBufferPointer(start: pointer, count: count)))
    }
    return try Tensor(type: name, shape: shape, bytes: bytes)
  }
#endif
