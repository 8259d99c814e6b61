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
