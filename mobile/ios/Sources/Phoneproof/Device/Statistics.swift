/// What a number of timed runs come to, in milliseconds.
public struct Statistics: Sendable {
  public let count: Int
  public let median: Double
  /// The smallest time that 95 % of the runs keep (nearest rank).
  public let p95: Double

  /// Nil for no runs.
  public init?(_ milliseconds: [Double]) {
    guard !milliseconds.isEmpty else { return nil }
    let sorted = milliseconds.sorted()
    count = sorted.count
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    p95 = sorted[(sorted.count * 95 + 99) / 100 - 1]
  }
}

/// The median of the times of some runs; NaN of none.
func median(_ milliseconds: [Double]) -> Double { Statistics(milliseconds)?.median ?? .nan }
