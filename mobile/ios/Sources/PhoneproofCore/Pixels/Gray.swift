extension GrayFormula {
  /// - pillow: `(R * 19595 + G * 38470 + B * 7471 + 32768) >> 16`
  /// - opencv: `(R * 9798 + G * 19235 + B * 3735 + 16384) >> 15`
  /// - tensorflow: float32 throughout, `c = p * (1 / 255)`, then
  ///   `trunc(((R * .2989 + G * .5870) + B * .1140) * 255.5)`
  @inline(__always)
  func callAsFunction(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
    let (r, g, b) = (UInt32(red), UInt32(green), UInt32(blue))
    switch self {
    case .pillow:
      let sum = r &* 19595 &+ g &* 38470 &+ b &* 7471
      return UInt8(truncatingIfNeeded: (sum &+ 32768) &>> 16)
    case .opencv:
      let sum = r &* 9798 &+ g &* 19235 &+ b &* 3735
      return UInt8(truncatingIfNeeded: (sum &+ 16384) &>> 15)
    case .tensorflow:
      let unit = Float(1.0 / 255.0)
      let first = Float(r) * unit * 0.2989 + Float(g) * unit * 0.5870
      let sum = first + Float(b) * unit * 0.1140
      return UInt8(truncatingIfNeeded: Int32(sum * 255.5))
    }
  }

  /// The gray of `source` into dense memory of one byte a pixel.
  func fill(_ out: UnsafeMutablePointer<UInt8>, from source: Source) {
    let (red, green, blue) = source.offsets
    for y in 0..<source.height {
      let row = source.base + y * source.rowBytes
      let place = out + y * source.width
      for x in 0..<source.width {
        let pixel = row + x &* source.pixelBytes
        place[x] = self(pixel[red], pixel[green], pixel[blue])
      }
    }
  }
}
