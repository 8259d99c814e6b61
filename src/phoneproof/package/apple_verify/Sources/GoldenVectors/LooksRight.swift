extension DeviceResults {
  /// Whether every accelerator that the device has gave what was recorded, by this kit's own
  /// reckoning. `phoneproof verify --results` has the last word.
  ///
  /// - Parameter decibels: the least signal-to-noise ratio; nil where any numbers will do.
  public func looksRight(atLeast decibels: Double?) -> Bool {
    let ran = accelerators.filter { $0.state == .ran }
    guard !ran.isEmpty, accelerators.allSatisfy({ $0.state != .failed }) else { return false }
    let outputs = ran.flatMap(\.vectors).flatMap(\.outputs)
    // No distance: a value is not finite where the recorded one is, or the other way round.
    guard !outputs.isEmpty, outputs.allSatisfy({ $0.maxAbs != nil }) else { return false }
    guard let decibels else { return true }
    return outputs.allSatisfy { $0.maxAbs == 0 || ($0.snrDb ?? -.infinity) >= decibels }
  }
}
