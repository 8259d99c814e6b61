/// OpenCV's cubic (a = -.75): weights of 11 bits, rows in whole numbers; columns in float32 for the
/// first `width * channels / 8 * 8` values of a row and in whole numbers for the rest.
final class OpenCVCubic: Resampler {
  private struct Taps {
    /// Source indices, clipped to the axis.
    let at: (Int, Int, Int, Int)
    let weights: (Int32, Int32, Int32, Int32)
  }

  private let rowsAt: [Taps]
  private let columns: Memory<Taps>
  private let channels: Int
  private let scaled: Memory<Int32>
  private let result: Memory<UInt8>
  /// The source row that each of the four scaled rows holds.
  private var held = [-1, -1, -1, -1]

  init(from: Size, to: Size, channels: Int) {
    rowsAt = Self.taps(from.height, to.height)
    columns = Memory(Self.taps(from.width, to.width))
    self.channels = channels
    scaled = Memory(4 * to.width * channels)
    result = Memory(to.width * channels)
  }

  private static func taps(_ source: Int, _ target: Int) -> [Taps] {
    OpenCVAxis.centred(source, target).map { sample in
      let weights = weights(sample.fraction)
      func at(_ tap: Int) -> Int { min(max(sample.index + tap - 1, 0), source - 1) }
      return Taps(
        at: (at(0), at(1), at(2), at(3)),
        weights: (
          OpenCVAxis.elevenBits(weights.0), OpenCVAxis.elevenBits(weights.1),
          OpenCVAxis.elevenBits(weights.2), OpenCVAxis.elevenBits(weights.3)
        ))
    }
  }

  /// Keys' cubic in float32, in the library's order of operations.
  private static func weights(_ fraction: Float) -> (Float, Float, Float, Float) {
    let a: Float = -0.75
    let before = fraction + 1
    let w0 = ((a * before - 5 * a) * before + 8 * a) * before - 4 * a
    let w1 = ((a + 2) * fraction - (a + 3)) * fraction * fraction + 1
    let rest = 1 - fraction
    let w2 = ((a + 2) * rest - (a + 3)) * rest * rest + 1
    return (w0, w1, w2, 1 - w0 - w1 - w2)
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    for slot in 0..<4 { held[slot] = -1 }
    for y in range {
      let taps = rowsAt[y]
      let (a, b) = (row(taps.at.0, of: source), row(taps.at.1, of: source))
      let (c, d) = (row(taps.at.2, of: source), row(taps.at.3, of: source))
      blend(a, b, c, d, taps.weights)
      sink(y, result.start)
    }
  }

  /// Four neighbours never share a slot: their indices differ by less than four.
  private func row(_ y: Int, of source: Source) -> UnsafePointer<Int32> {
    let slot = y & 3
    let out = scaled.start + slot * result.count
    if held[slot] != y {
      held[slot] = y
      scale(source.base + y * source.rowBytes, source, out)
    }
    return UnsafePointer(out)
  }

  private func scale(
    _ row: UnsafePointer<UInt8>, _ source: Source, _ out: UnsafeMutablePointer<Int32>
  ) {
    let step = source.pixelBytes
    withUnsafeBytes(of: source.offsets) { raw in
      let offsets = raw.bindMemory(to: Int.self)
      for x in 0..<columns.count {
        let taps = columns.start[x]
        let (a, b) = (row + taps.at.0 &* step, row + taps.at.1 &* step)
        let (c, d) = (row + taps.at.2 &* step, row + taps.at.3 &* step)
        for channel in 0..<channels {
          let offset = offsets[channel]
          let first = Int32(a[offset]) &* taps.weights.0 &+ Int32(b[offset]) &* taps.weights.1
          let last = Int32(c[offset]) &* taps.weights.2 &+ Int32(d[offset]) &* taps.weights.3
          out[x &* channels &+ channel] = first &+ last
        }
      }
    }
  }

  private func blend(
    _ a: UnsafePointer<Int32>, _ b: UnsafePointer<Int32>, _ c: UnsafePointer<Int32>,
    _ d: UnsafePointer<Int32>, _ weights: (Int32, Int32, Int32, Int32)
  ) {
    let out = result.start
    let count = result.count
    let unit: Float = 1.0 / 4_194_304
    let (f0, f1) = (Float(weights.0) * unit, Float(weights.1) * unit)
    let (f2, f3) = (Float(weights.2) * unit, Float(weights.3) * unit)
    let vectors = count / 8 * 8
    for i in 0..<vectors {
      let low = Float(c[i]) * f2 + Float(d[i]) * f3
      let sum = Float(a[i]) * f0 + (Float(b[i]) * f1 + low)
      out[i] = roundedByte(sum)
    }
    for i in vectors..<count {
      let first = Int(a[i]) &* Int(weights.0) &+ Int(b[i]) &* Int(weights.1)
      let last = Int(c[i]) &* Int(weights.2) &+ Int(d[i]) &* Int(weights.3)
      out[i] = UInt8(min(max((first &+ last &+ 1 << 21) &>> 22, 0), 255))
    }
  }
}

/// Clipped to 0..255, halves to even. Adding 1.5 * 2^23 leaves no bits for a fraction, so float32
/// itself rounds; true for numbers below 2^22.
@inline(__always)
func roundedByte(_ value: Float) -> UInt8 {
  let shifted = value + 12_582_912
  return UInt8(truncatingIfNeeded: Int32(min(max(shifted - 12_582_912, 0), 255)))
}
