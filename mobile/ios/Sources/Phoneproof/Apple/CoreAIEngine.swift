#if canImport(CoreAI)
  import CoreAI
  import Dispatch
  import Foundation
  import PhoneproofCore

  /// Core AI on each of its compute units. It does not say where an operator runs.
  @available(iOS 27.0, macOS 27.0, *)
  public struct CoreAIEngines: EngineFactory {
    public let name = "Core AI"
    public let version = ThisDevice.systemVersion
    private let binding: Binding

    public init(_ binding: Binding) { self.binding = binding }

    private static let gpu = Accelerator(.gpu, "GPU preferred")
    private static let neuralEngine = Accelerator(.npu, "Neural Engine preferred")

    public var candidates: [Accelerator] {
      let lacks = unavailable.map(\.accelerator)
      return [
        Self.neuralEngine, Self.gpu, Accelerator(.any, "all units"), Accelerator(.cpu, "CPU"),
      ].filter { !lacks.contains($0) }
    }

    public var unavailable: [(accelerator: Accelerator, reason: String)] {
      let kinds = ComputeUnitKind.availableKinds
      let missing =
        (kinds.contains(.neuralEngine) ? [] : [Self.neuralEngine])
        + (kinds.contains(.gpu) ? [] : [Self.gpu])
      return missing.map { ($0, "not on this device") }
    }

    public func open(_ model: ModelFile, on accelerator: Accelerator) throws -> any Engine {
      let (url, options) = (model.url, Self.options(accelerator.kind))
      let function = try waited {
        try await AIModel(contentsOf: url, options: options).loadFunction(named: "main")
      }
      guard let function else { throw unsupported("the model has no function main") }
      return CoreAIEngine(function, accelerator, binding)
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

  /// A loaded function; its outputs are copied to memory that is kept.
  @available(iOS 27.0, macOS 27.0, *)
  final class CoreAIEngine: Engine {
    let accelerator: Accelerator
    let placements: [Placement] = []
    private let binding: Binding
    private var function: InferenceFunction?
    private var memory: [String: UnsafeMutableRawBufferPointer] = [:]

    init(_ function: InferenceFunction, _ accelerator: Accelerator, _ binding: Binding) {
      self.function = function
      self.accelerator = accelerator
      self.binding = binding
    }

    func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
      guard let function else { throw unsupported("the engine is closed") }
      let handed = Handed(value: (engine: self, input: input))
      return try waited {
        try await handed.value.engine.outputs(of: function, handed.value.input)
      }
    }

    func close() {
      function = nil
      for bytes in memory.values { bytes.deallocate() }
      memory = [:]
    }

    deinit { close() }

    private func outputs(
      of function: InferenceFunction, _ input: UnsafeRawBufferPointer
    ) async throws -> [OutputTensor] {
      let fed = [binding.input.tensor: try array(of: input)]
      var given = try await function.run(inputs: fed)
      var seen: Set<String> = []
      return try binding.outputs.filter { seen.insert($0.tensor).inserted }.map { output in
        guard let array = given.remove(output.tensor)?.ndArray else {
          throw unsupported("the model gives no tensor \(output.tensor)")
        }
        return try tensor(of: array, output.tensor)
      }
    }

    private func array(of input: UnsafeRawBufferPointer) throws -> NDArray {
      let shape = binding.input.shape
      switch binding.input.type {
      case .float32:
        var array = NDArray(shape: shape, scalarType: .float32)
        var view = array.mutableView(as: Float.self)
        view.copyElements(fromContentsOf: input.bindMemory(to: Float.self))
        return array
      #if arch(arm64)
        case .float16:
          var array = NDArray(shape: shape, scalarType: .float16)
          var view = array.mutableView(as: Float16.self)
          view.copyElements(fromContentsOf: input.bindMemory(to: Float16.self))
          return array
      #endif
      default: throw unsupported("Core AI is not fed \(binding.input.type.rawValue)")
      }
    }

    /// Arrays that a function returns are dense and in row-major order.
    private func tensor(of array: NDArray, _ name: String) throws -> OutputTensor {
      switch array.scalarType {
      case .float32: return copy(of: array, as: Float.self, .float32, name)
      case .int32: return copy(of: array, as: Int32.self, .int32, name)
      #if arch(arm64)
        case .float16: return copy(of: array, as: Float16.self, .float16, name)
      #endif
      default: throw unsupported("output \(name) has a type that is not handled")
      }
    }

    private func copy<Element: BitwiseCopyable>(
      of array: NDArray, as type: Element.Type, _ name: ElementType, _ tensor: String
    ) -> OutputTensor {
      array.view(as: type).withUnsafePointer { pointer, sides, _ in
        let shape = (0..<sides.count).map { sides[$0] }
        let from = UnsafeRawBufferPointer(
          UnsafeBufferPointer(start: pointer, count: shape.reduce(1, *)))
        let bytes = kept(tensor, byteCount: from.count)
        bytes.copyMemory(from: from)
        return OutputTensor(
          name: tensor, type: name, shape: shape, bytes: UnsafeRawBufferPointer(bytes))
      }
    }

    private func kept(_ tensor: String, byteCount: Int) -> UnsafeMutableRawBufferPointer {
      if let bytes = memory[tensor], bytes.count == byteCount { return bytes }
      memory[tensor]?.deallocate()
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
      memory[tensor] = bytes
      return bytes
    }
  }

  private func unsupported(_ what: String) -> PhoneproofError {
    .unsupported(.init(what, nextStep: "run the bundle's Core ML model"))
  }

  /// Waits for something asynchronous on a thread that has nothing else to do: an engine's own. The
  /// time limit is that of whoever waits for the engine.
  private func waited<Value>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    let outcome = Outcome<Value>()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      do {
        outcome.result = .success(try await body())
      } catch {
        outcome.result = .failure(error)
      }
      done.signal()
    }
    done.wait()
    guard let result = outcome.result else { throw unsupported("nothing came back") }
    return try result.get()
  }

  /// Written before the signal, read after it.
  private final class Outcome<Value>: @unchecked Sendable { var result: Result<Value, any Error>? }
#endif
