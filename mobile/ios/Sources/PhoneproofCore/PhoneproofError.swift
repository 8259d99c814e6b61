/// Everything that goes wrong here, by what it concerns. The text says what failed, what was found
/// and what to do next.
public enum PhoneproofError: Error, Sendable, Equatable {
  /// A contract that cannot be read or has no meaning.
  case contract(Problem)
  /// A binding that cannot be read, or is not one of this contract.
  case binding(Problem)
  /// A picture of this size does not go through the contract's geometry.
  case geometry(Problem)
  /// No picture: empty, too large, or memory that is too small for it.
  case image(Problem)
  /// Output tensors that the binding does not describe.
  case outputs(Problem)
  /// Well described, but nothing that this version does.
  case unsupported(Problem)
  /// A model file that is missing, or not the one that was built.
  case modelFile(Problem)
  /// An engine refused, failed, gave wrong results or did not answer.
  case engine(Problem)
  /// Used after `close()`.
  case closed(Problem)

  public struct Problem: Sendable, Equatable {
    public let failed: String
    public let found: String
    public let nextStep: String

    public init(_ failed: String, found: String = "", nextStep: String = "") {
      self.failed = failed
      self.found = found
      self.nextStep = nextStep
    }
  }

  public var problem: Problem {
    switch self {
    case .contract(let problem), .binding(let problem), .geometry(let problem),
      .image(let problem), .outputs(let problem), .unsupported(let problem),
      .modelFile(let problem), .engine(let problem), .closed(let problem):
      return problem
    }
  }
}

extension PhoneproofError: CustomStringConvertible {
  public var description: String {
    let found = problem.found.isEmpty ? "" : " (found: \(problem.found))"
    let next = problem.nextStep.isEmpty ? "" : ". Next: \(problem.nextStep)"
    return problem.failed + found + next
  }
}
