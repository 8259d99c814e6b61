/// IEEE 754 half precision as bits: `Float16` does not exist on Intel Macs.
public enum Half {
  /// Exact.
  public static func widened(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1f)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
      return sign * (1 + fraction / 1024)
        * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
  }

  /// Rounded to nearest, ties to even.
  public static func narrowed(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = value.magnitude
    if value.isNaN { return sign | 0x7e00 }
    if magnitude >= 65520 { return sign | 0x7c00 }
    if magnitude < 0x1p-14 {
      return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven))
    }
    let exponent = Int(magnitude.exponent)
    let scaled = magnitude * Float(sign: .plus, exponent: 10 - exponent, significand: 1)
    let rounded = UInt16(scaled.rounded(.toNearestOrEven)) - 1024
    return sign | (UInt16(exponent + 15) << 10) + rounded
  }
}
