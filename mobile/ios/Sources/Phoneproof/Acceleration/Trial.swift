/// What became of one accelerator.
public enum TrialState: String, Sendable {
  case chosen
  /// Right, but another one was faster.
  case slower
  /// It gave other values than the golden ones, or computed elsewhere than it was asked to.
  case wrong
  /// Loading or running threw.
  case failed
  /// No answer within the time limit.
  case hung
  /// The app ended while it was being tried.
  case crashed
  /// Nothing to check it with.
  case untried
  /// The device has no such thing.
  case unavailable
}

/// One accelerator and what was found out about it.
public struct Trial: Sendable, Equatable {
  public let accelerator: Accelerator
  public var state: TrialState
  /// One line for people; empty where it was chosen.
  public var reason: String
  public var medianMs: Double?

  public init(
    _ accelerator: Accelerator, _ state: TrialState, _ reason: String = "", medianMs: Double? = nil
  ) {
    self.accelerator = accelerator
    self.state = state
    self.reason = reason
    self.medianMs = medianMs
  }

  /// Whether it may be used: its values were right.
  var isRight: Bool { state == .chosen || state == .slower }
}

/// How long an accelerator may take before it counts as hung, and how it is timed.
public struct TrialLimits: Sendable {
  /// Loading and preparing; compiling for the Neural Engine takes seconds.
  public var loadSeconds = 60.0
  public var runSeconds = 10.0
  public var warmUpRuns = 1
  /// Their median counts.
  public var timedRuns = 5

  public init() {}
}

/// An accelerator that broke.
struct AcceleratorFailure: Error {
  let state: TrialState
  let reason: String
}
