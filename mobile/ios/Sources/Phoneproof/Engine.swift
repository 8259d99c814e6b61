import PhoneproofCore

/// What an engine computes on. GPU and NPU: beside the CPU, which takes what they do not.
public enum AcceleratorKind: String, Sendable, Codable, CaseIterable { case cpu, gpu, npu, any }

/// One way to run a model.
public struct Accelerator: Sendable, Hashable {
  public let kind: AcceleratorKind
  /// As its maker calls it.
  public let name: String
  /// Nil where the engine does not let one say.
  public let threads: Int?

  public init(_ kind: AcceleratorKind, _ name: String, threads: Int? = nil) {
    self.kind = kind
    self.name = name
    self.threads = threads
  }

  /// `CPU, 4 threads`.
  public var title: String {
    guard let threads else { return name }
    return "\(name), \(threads) thread\(threads == 1 ? "" : "s")"
  }

  /// Tells accelerators apart in what is stored.
  public var id: String { "\(kind.rawValue)/\(name)/\(threads.map(String.init) ?? "")" }
}

/// How many operators an engine planned for one kind of unit.
public struct Placement: Sendable, Equatable {
  public let kind: AcceleratorKind
  public let operators: Int

  public init(_ kind: AcceleratorKind, _ operators: Int) {
    self.kind = kind
    self.operators = operators
  }
}

/// A loaded model with one image input. One caller at a time; `VisionModel` sees to that.
public protocol Engine: AnyObject {
  /// What the model was loaded for.
  var accelerator: Accelerator { get }
  /// Where the engine says that it computes; empty where it does not say.
  var placements: [Placement] { get }

  /// Runs the model once.
  ///
  /// - Parameter input: the whole tensor, as the binding describes it.
  /// - Returns: all outputs, dense; the memory is the engine's and holds until the next call.
  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor]

  /// Frees what the engine holds; further calls do nothing.
  func close()
}

/// Opens model files with one library.
public protocol EngineFactory: Sendable {
  /// For people: `Core ML`.
  var name: String { get }
  var version: String { get }
  /// What may be tried on this device, the most promising one first.
  var candidates: [Accelerator] { get }
  /// What this device lacks, with the reason.
  var unavailable: [(accelerator: Accelerator, reason: String)] { get }

  func open(_ model: ModelFile, on accelerator: Accelerator) throws -> any Engine
}

extension EngineFactory {
  public var unavailable: [(accelerator: Accelerator, reason: String)] { [] }
}
