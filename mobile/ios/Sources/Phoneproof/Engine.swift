import PhoneproofCore

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
