import Foundation
import PhoneproofCore

/// How far an output lies from the recorded one. For whoever stands before the device: the verdict
/// is computed anew from the values by `phoneproof verify --results`.
public struct Distance: Sendable {
  /// The largest difference of an element; nil where one is not a number.
  public let maxAbs: Double?
  /// Signal power over noise power in decibels; nil where nothing differs or nothing is left.
  public let snr: Double?

  /// - Parameters:
  ///   - values, recorded: little-endian elements of `type`, as many of the one as of the other.
  public init(of values: Data, from recorded: Data, type: ElementType) {
    let now = doubles(values, type)
    let before = doubles(recorded, type)
    var largest = 0.0
    var noise = 0.0
    var signal = 0.0
    for (one, other) in zip(now, before) where !(one == other || one.isNaN && other.isNaN) {
      let apart = abs(one - other)
      largest = apart.isNaN ? .infinity : max(largest, apart)
      noise += apart * apart
    }
    for value in before where value.isFinite { signal += value * value }
    maxAbs = largest.isFinite ? largest : nil
    let ratio = 10 * log10(signal / noise)
    snr = ratio.isFinite ? ratio : nil
  }
}

private func doubles(_ data: Data, _ type: ElementType) -> [Double] {
  switch type {
  case .float32: return elements(of: data, as: Float.self).map(Double.init)
  case .float16: return elements(of: data, as: UInt16.self).map { Double(Half.widened($0)) }
  case .int8: return elements(of: data, as: Int8.self).map(Double.init)
  case .uint8, .bool: return elements(of: data, as: UInt8.self).map(Double.init)
  case .int16: return elements(of: data, as: Int16.self).map(Double.init)
  case .int32: return elements(of: data, as: Int32.self).map(Double.init)
  case .int64: return elements(of: data, as: Int64.self).map(Double.init)
  }
}
