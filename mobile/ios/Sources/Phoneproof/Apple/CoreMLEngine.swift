#if canImport(CoreML)
  import CoreML
  import CoreVideo
  import Foundation
  import PhoneproofCore

  /// Core ML on each of its compute units.
  public struct CoreMLEngines: EngineFactory {
    public let name = "Core ML"
    public let version = ThisDevice.systemVersion
    private let contract: Contract
    private let binding: Binding

    public init(_ contract: Contract, _ binding: Binding) {
      self.contract = contract
      self.binding = binding
    }

    static let neuralEngine = Accelerator(.npu, "CPU and Neural Engine")

    public var candidates: [Accelerator] {
      let lacks = unavailable.map(\.accelerator)
      return [
        Self.neuralEngine, Accelerator(.gpu, "CPU and GPU"), Accelerator(.any, "all units"),
        Accelerator(.cpu, "CPU"),
      ].filter { !lacks.contains($0) }
    }

    public var unavailable: [(accelerator: Accelerator, reason: String)] {
      Self.missingNeuralEngine.map { [(Self.neuralEngine, $0)] } ?? []
    }

    public func open(_ model: ModelFile, on accelerator: Accelerator) throws -> any Engine {
      let configuration = MLModelConfiguration()
      switch accelerator.kind {
      case .cpu: configuration.computeUnits = .cpuOnly
      case .gpu: configuration.computeUnits = .cpuAndGPU
      case .any: configuration.computeUnits = .all
      case .npu:
        guard #available(iOS 16.0, macOS 13.0, *) else { throw unsupported(Self.tooOld) }
        configuration.computeUnits = .cpuAndNeuralEngine
      }
      // Compiled here and not by Xcode: the hash in the binding is that of the package.
      let compiled = try MLModel.compileModel(at: model.url)
      do {
        let loaded = try MLModel(contentsOf: compiled, configuration: configuration)
        return try CoreMLEngine(
          loaded, compiled, accelerator, contract: contract, binding: binding,
          configuration: configuration)
      } catch {
        try? FileManager.default.removeItem(at: compiled)
        throw error
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

  private func unsupported(_ what: String, _ found: String = "") -> PhoneproofError {
    .unsupported(.init(what, found: found, nextStep: "run the model on the CPU, or build another"))
  }

  /// A loaded model and its compiled form, which is removed with it.
  final class CoreMLEngine: Engine {
    let accelerator: Accelerator
    let placements: [Placement]
    private var model: MLModel?
    private let compiled: URL
    private let contract: Contract
    private let binding: Binding
    private let provider: MLDictionaryFeatureProvider
    private let array: MLMultiArray?
    private let picture: CVPixelBuffer?
    /// Dense copies of outputs that have gaps between their rows, by name.
    private var dense: [String: UnsafeMutableRawBufferPointer] = [:]
    private var held: (any MLFeatureProvider)?

    init(
      _ model: MLModel, _ compiled: URL, _ accelerator: Accelerator, contract: Contract,
      binding: Binding, configuration: MLModelConfiguration
    ) throws {
      self.model = model
      self.compiled = compiled
      self.accelerator = accelerator
      self.contract = contract
      self.binding = binding
      let name = binding.input.tensor
      guard let description = model.modelDescription.inputDescriptionsByName[name] else {
        throw unsupported("the model has no input \(name)")
      }
      let value: MLFeatureValue
      if description.type == .image {
        let buffer = try Self.pixelBuffer(contract.input)
        (picture, array) = (buffer, nil)
        value = MLFeatureValue(pixelBuffer: buffer)
      } else {
        let made = try MLMultiArray(
          shape: binding.input.shape.map { NSNumber(value: $0) },
          dataType: Self.dataType(binding.input.type))
        (picture, array) = (nil, made)
        value = MLFeatureValue(multiArray: made)
      }
      provider = try MLDictionaryFeatureProvider(dictionary: [name: value])
      placements = plannedPlacements(of: compiled, with: configuration)
    }

    func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
      guard let model else { throw unsupported("the engine is closed") }
      if let array, let start = input.baseAddress {
        array.dataPointer.copyMemory(from: start, byteCount: input.count)
      } else if let picture {
        fill(picture, input)
      }
      let outputs = try model.prediction(from: provider)
      held = outputs
      var seen: Set<String> = []
      return try binding.outputs.filter { seen.insert($0.tensor).inserted }.map { output in
        guard let array = outputs.featureValue(for: output.tensor)?.multiArrayValue else {
          throw unsupported("the model gives no tensor \(output.tensor)")
        }
        return try tensor(of: array, output)
      }
    }

    func close() {
      guard model != nil else { return }
      model = nil
      held = nil
      for memory in dense.values { memory.deallocate() }
      dense = [:]
      try? FileManager.default.removeItem(at: compiled)
    }

    deinit { close() }

    private func tensor(of array: MLMultiArray, _ output: OutputBinding) throws -> OutputTensor {
      let type = try Self.elementType(array.dataType)
      let shape = array.shape.map(\.intValue)
      let count = shape.reduce(1, *)
      let strides = array.strides.map(\.intValue)
      let bytes: UnsafeRawBufferPointer
      if Self.isDense(shape, strides) {
        bytes = UnsafeRawBufferPointer(start: array.dataPointer, count: count * type.size)
      } else {
        let memory =
          dense[output.tensor] ?? .allocate(byteCount: count * type.size, alignment: 16)
        dense[output.tensor] = memory
        Self.copy(array.dataPointer, shape, strides, type.size, into: memory)
        bytes = UnsafeRawBufferPointer(memory)
      }
      return OutputTensor(name: output.tensor, type: type, shape: shape, bytes: bytes)
    }

    private static func isDense(_ shape: [Int], _ strides: [Int]) -> Bool {
      var expected = 1
      for (side, stride) in zip(shape, strides).reversed() {
        if side != 1 && stride != expected { return false }
        expected *= side
      }
      return true
    }

    private static func copy(
      _ from: UnsafeMutableRawPointer, _ shape: [Int], _ strides: [Int], _ size: Int,
      into to: UnsafeMutableRawBufferPointer
    ) {
      var place = [Int](repeating: 0, count: shape.count)
      for index in 0..<to.count / size {
        let offset = zip(place, strides).reduce(0) { $0 + $1.0 * $1.1 }
        to.baseAddress?.advanced(by: index * size)
          .copyMemory(from: from + offset * size, byteCount: size)
        for axis in shape.indices.reversed() {
          place[axis] += 1
          if place[axis] < shape[axis] { break }
          place[axis] = 0
        }
      }
    }

    private static func dataType(_ type: ElementType) throws -> MLMultiArrayDataType {
      switch type {
      case .float32: return .float32
      case .int32: return .int32
      case .float16:
        guard #available(iOS 16.0, macOS 12.0, *) else {
          throw unsupported("iOS 16 is needed for float16 tensors")
        }
        return .float16
      default: throw unsupported("Core ML takes no such tensor", type.rawValue)
      }
    }

    private static func elementType(_ type: MLMultiArrayDataType) throws -> ElementType {
      if #available(iOS 16.0, macOS 12.0, *), type == .float16 { return .float16 }
      switch type {
      case .float32: return .float32
      case .int32: return .int32
      default: throw unsupported("an output has a type that is not handled", "\(type.rawValue)")
      }
    }

    private static func pixelBuffer(_ input: ImageInput) throws -> CVPixelBuffer {
      let isGray = input.channels == .gray
      let format = isGray ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
      var made: CVPixelBuffer?
      let attributes = [kCVPixelBufferIOSurfacePropertiesKey as String: [String: Any]()]
      let status = CVPixelBufferCreate(
        nil, input.size.width, input.size.height, format, attributes as CFDictionary, &made)
      guard status == kCVReturnSuccess, let made else {
        throw unsupported("no pixel buffer of \(input.size)", "\(status)")
      }
      return made
    }

    /// Pixels as Core ML takes pictures: the tensor holds them as whole numbers, since the file
    /// scales by itself.
    private func fill(_ buffer: CVPixelBuffer, _ tensor: UnsafeRawBufferPointer) {
      CVPixelBufferLockBaseAddress(buffer, [])
      defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
      guard let base = CVPixelBufferGetBaseAddress(buffer) else { return }
      let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
      let (spec, input) = (contract.input, binding.input)
      let (height, width, count) = (spec.size.height, spec.size.width, spec.channelCount)
      let isFirst = input.layout == .channelsFirst
      // Blue, green and red of the buffer among the contract's channels.
      let order = spec.channels == .rgb ? [2, 1, 0] : [0, 1, 2]
      for y in 0..<height {
        let row = (base + y * rowBytes).assumingMemoryBound(to: UInt8.self)
        for x in 0..<width {
          let pixel = y * width + x
          for channel in 0..<count {
            let place =
              isFirst ? order[channel] * height * width + pixel : pixel * count + order[channel]
            row[x * (count == 1 ? 1 : 4) + channel] = Self.byte(tensor, place, input.type)
          }
          if count == 3 { row[x * 4 + 3] = 255 }
        }
      }
    }

    @inline(__always)
    private static func byte(
      _ tensor: UnsafeRawBufferPointer, _ place: Int, _ type: ElementType
    ) -> UInt8 {
      type == .uint8 ? tensor[place] : UInt8(type.number(in: tensor, at: place))
    }
  }

  /// What Core ML plans to run where; empty where it does not say.
  private func plannedPlacements(
    of compiled: URL, with configuration: MLModelConfiguration
  ) -> [Placement] {
    guard #available(iOS 17.4, macOS 14.4, *) else { return [] }
    // Asked on the engine's own queue, which waits for nothing else.
    let found = Found()
    let done = DispatchSemaphore(value: 0)
    let units = configuration.computeUnits
    Task.detached {
      found.placements = await placements(of: compiled, on: units)
      done.signal()
    }
    return done.wait(timeout: .now() + 10) == .success ? found.placements : []
  }

  private final class Found: @unchecked Sendable { var placements: [Placement] = [] }

  @available(iOS 17.4, macOS 14.4, *)
  private func placements(of compiled: URL, on units: MLComputeUnits) async -> [Placement] {
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units
    guard
      let plan = try? await MLComputePlan.load(contentsOf: compiled, configuration: configuration),
      case .program(let program) = plan.modelStructure, let main = program.functions["main"]
    else { return [] }
    var counts: [AcceleratorKind: Int] = [:]
    for operation in main.block.operations where operation.operatorName != "const" {
      guard let usage = plan.deviceUsage(for: operation) else { continue }
      counts[kind(of: usage.preferred), default: 0] += 1
    }
    return AcceleratorKind.allCases.compactMap { kind in counts[kind].map { Placement(kind, $0) } }
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
