import Dispatch

/// Time that only goes forward.
public protocol MonotonicClock: Sendable {
  /// Nanoseconds since some moment.
  var now: UInt64 { get }
}

/// The clock of the device.
public struct SystemClock: MonotonicClock {
  public init() {}
  public var now: UInt64 { DispatchTime.now().uptimeNanoseconds }
}

func milliseconds(_ from: UInt64, _ to: UInt64) -> Double { Double(to &- from) / 1e6 }
