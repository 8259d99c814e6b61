/// How many frames a second are allowed.
public struct ThermalPolicy: Sendable, Equatable {
  public var nominal = 30.0
  public var fair = 15.0
  public var serious = 5.0
  public var critical = 1.0
  /// A frame that takes so many times what the first ones took counts as throttling, whatever the
  /// status says.
  public var slowdown = 1.5
  /// At most, while the model is slowed down.
  public var slowed = 10.0

  public init() {}

  func framesPerSecond(at status: ThermalStatus) -> Double {
    switch status {
    case .nominal, .unknown: return nominal
    case .fair: return fair
    case .serious: return serious
    case .critical: return critical
    }
  }
}

/// What the governor decided. `framesPerSecond` 0: pause.
public struct ThermalState: Sendable, Equatable {
  public let status: ThermalStatus
  public let isSlowed: Bool
  public let framesPerSecond: Double
}

/// Lowers the frame rate of a live camera while the device is hot or the model has become slower.
/// Ask `admits` for every frame and tell `ran` how long it took. One thread at a time.
public final class ThermalGovernor {
  private static let window = 15
  private static let second = 1e9
  /// A frame may come this part of a gap too early, or a 30 Hz camera would lose every second frame
  /// to the jitter of its clock.
  private static let early = 4.0

  private let source: any ThermalSource
  private let policy: ThermalPolicy
  private let onChange: (ThermalState) -> Void
  private var first: [Double] = []
  private var recent: [Double] = []
  private var place = 0
  private var next: Double?
  private var askAgain = -Double.infinity

  /// What holds now.
  public private(set) var state: ThermalState

  /// - Parameter onChange: told of every new state, on the thread that calls `admits` or `ran`.
  public init(
    _ source: any ThermalSource, policy: ThermalPolicy = ThermalPolicy(),
    onChange: @escaping (ThermalState) -> Void = { _ in }
  ) {
    self.source = source
    self.policy = policy
    self.onChange = onChange
    state = ThermalState(
      status: .nominal, isSlowed: false, framesPerSecond: policy.framesPerSecond(at: .nominal))
  }

  /// Whether the frame that comes at `nanoseconds` of a clock that goes forward should be run.
  public func admits(_ nanoseconds: UInt64) -> Bool {
    let now = Double(nanoseconds)
    if now >= askAgain {
      askAgain = now + Self.second
      update(source.status, isSlowed: state.isSlowed)
    }
    guard state.framesPerSecond > 0 else { return false }
    let gap = Self.second / state.framesPerSecond
    guard let due = next else {
      next = now + gap
      return true
    }
    if now < due - gap / Self.early { return false }
    // A late frame starts a new rhythm; an early one keeps it.
    next = now > due + gap ? now + gap : due + gap
    return true
  }

  /// One frame took so long from its pixels to its results.
  public func ran(_ nanoseconds: UInt64) {
    let time = Double(nanoseconds)
    guard first.count == Self.window else {
      first.append(time)
      recent.append(time)
      return
    }
    recent[place] = time
    place = (place + 1) % Self.window
    update(state.status, isSlowed: median(recent) > median(first) * policy.slowdown)
  }

  private func update(_ status: ThermalStatus, isSlowed: Bool) {
    guard status != state.status || isSlowed != state.isSlowed else { return }
    let allowed = policy.framesPerSecond(at: status)
    next = nil
    state = ThermalState(
      status: status, isSlowed: isSlowed,
      framesPerSecond: isSlowed ? min(allowed, policy.slowed) : allowed)
    onChange(state)
  }
}
