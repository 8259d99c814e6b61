#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A filter of Pillow 13.0.0: its value at a distance, and where it ends.
struct PillowKernel {
  let support: Double
  let weight: (Double) -> Double

  init(_ filter: Filter) {
    switch filter {
    case .pillowBox: (support, weight) = (0.5, { $0 > -0.5 && $0 <= 0.5 ? 1 : 0 })
    case .pillowHamming: (support, weight) = (1, Self.hamming)
    case .pillowBicubic: (support, weight) = (2, Self.bicubic)
    case .pillowLanczos: (support, weight) = (3, Self.lanczos)
    default: (support, weight) = (1, { max(1 - abs($0), 0) })
    }
  }

  /// The two constants are float32 in the library, the arithmetic float64.
  private static func hamming(_ x: Double) -> Double {
    let distance = abs(x)
    if distance == 0 { return 1 }
    if distance >= 1 { return 0 }
    let angle = distance * Double.pi
    return sin(angle) / angle * (Double(Float(0.54)) + Double(Float(0.46)) * cos(angle))
  }

  /// Keys' cubic with a = -0.5 (OpenCV takes -0.75).
  private static func bicubic(_ x: Double) -> Double {
    let a = -0.5
    let distance = abs(x)
    if distance < 1 { return ((a + 2) * distance - (a + 3)) * distance * distance + 1 }
    if distance < 2 { return (((distance - 5) * distance + 8) * distance - 4) * a }
    return 0
  }

  private static func lanczos(_ x: Double) -> Double {
    x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0
  }

  private static func sinc(_ x: Double) -> Double {
    if x == 0 { return 1 }
    let angle = x * Double.pi
    return sin(angle) / angle
  }
}

/// The weighted source pixels of every target pixel of one axis, weights * 2^22.
struct PillowAxis {
  struct Span {
    let first: Int
    let count: Int
    /// Where its weights begin.
    let weights: Int
  }

  let spans: Memory<Span>
  let weights: Memory<Int32>

  init(_ source: Int, _ target: Int, _ kernel: PillowKernel) {
    let scale = Double(source) / Double(target)
    let widening = max(scale, 1)
    let support = kernel.support * widening
    let inverse = 1 / widening
    var spans: [Span] = []
    var fixed: [Int32] = []
    for x in 0..<target {
      let center = (Double(x) + 0.5) * scale
      let first = max(Int(center - support + 0.5), 0)
      let end = min(Int(center + support + 0.5), source)
      var weights = (first..<end).map { kernel.weight((Double($0) - center + 0.5) * inverse) }
      let total = weights.reduce(0, +)
      if total != 0 { weights = weights.map { $0 / total } }
      spans.append(Span(first: first, count: weights.count, weights: fixed.count))
      fixed += weights.map { weight in
        let scaled = weight * 4_194_304
        return Int32(weight < 0 ? scaled - 0.5 : scaled + 0.5)
      }
    }
    self.spans = Memory(spans)
    self.weights = Memory(fixed)
  }

  /// The position is added up, not multiplied: the error of the additions is part of the result.
  static func nearest(_ source: Int, _ target: Int) -> [Int] {
    let scale = Double(source) / Double(target)
    var position = scale * 0.5
    return (0..<target).map { _ in
      defer { position += scale }
      return min(Int(position.rounded(.down)), source - 1)
    }
  }
}

/// Two passes, one along the rows and one along the columns, with the picture rounded to 0..255 in
/// between; a pass whose length does not change is left out. Rows come first, except where the
/// height shrinks by more than twice as many pixels as the width (new in Pillow 13).
final class PillowConvolution: Resampler {
  private let from: Size
  private let to: Size
  private let channels: Int
  private let columnsFirst: Bool
  private let alongRows: PillowAxis?
  private let alongColumns: PillowAxis?
  /// All rows after the first pass, and those that are there already.
  private let middle: Memory<UInt8>
  private let sums: Memory<Int32>
  private let result: Memory<UInt8>

  init(_ kernel: PillowKernel, from: Size, to: Size, channels: Int) {
    self.from = from
    self.to = to
    self.channels = channels
    let lostRows = from.height - to.height
    columnsFirst = lostRows > 0 && lostRows > 2 * (from.width - to.width)
    alongRows = from.width == to.width ? nil : PillowAxis(from.width, to.width, kernel)
    alongColumns = from.height == to.height ? nil : PillowAxis(from.height, to.height, kernel)
    let wide = max(from.width, to.width) * channels
    middle = Memory(columnsFirst ? wide : from.height * to.width * channels)
    sums = Memory(wide)
    result = Memory(to.width * channels)
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    guard let first = range.first, let last = range.last else { return }
    if columnsFirst {
      for y in range {
        columnPass(y, of: source)
        rowPass(dense(from.width), middle.start, result.start)
        sink(y, result.start)
      }
      return
    }
    let stride = to.width * channels
    let needed: Range<Int>
    if let axis = alongColumns {
      let end = axis.spans.start[last]
      needed = axis.spans.start[first].first..<end.first + end.count
    } else {
      needed = range
    }
    for y in needed {
      rowPass(source, source.base + y * source.rowBytes, middle.start + y * stride)
    }
    let scaled = dense(to.width)
    for y in range {
      if let axis = alongColumns {
        sum(axis, y, scaled, middle.start, width: to.width, into: result.start)
        sink(y, result.start)
      } else {
        sink(y, middle.start + y * stride)
      }
    }
  }

  private func dense(_ width: Int) -> Source {
    Source(middle.start, Size(height: from.height, width: width), channels: channels)
  }

  /// One row of the source's width from the columns of the source.
  private func columnPass(_ y: Int, of source: Source) {
    // Columns come first only where the height shrinks, so there is an axis.
    guard let axis = alongColumns else { return }
    sum(axis, y, source, source.base, width: from.width, into: middle.start)
  }

  /// The weighted sum of several rows.
  private func sum(
    _ axis: PillowAxis, _ y: Int, _ source: Source, _ base: UnsafePointer<UInt8>, width: Int,
    into out: UnsafeMutablePointer<UInt8>
  ) {
    let count = width * channels
    let sums = self.sums.start
    sums.update(repeating: 1 << 21, count: count)
    let span = axis.spans.start[y]
    for tap in 0..<span.count {
      let weight = axis.weights.start[span.weights + tap]
      let row = base + (span.first + tap) * source.rowBytes
      if source.pixelBytes == channels && source.offsets == (0, 1, 2) {
        for i in 0..<count { sums[i] = sums[i] &+ Int32(row[i]) &* weight }
      } else {
        let (red, green, blue) = source.offsets
        for x in 0..<width {
          let pixel = row + x &* source.pixelBytes
          let place = sums + x &* 3
          place[0] = place[0] &+ Int32(pixel[red]) &* weight
          place[1] = place[1] &+ Int32(pixel[green]) &* weight
          place[2] = place[2] &+ Int32(pixel[blue]) &* weight
        }
      }
    }
    for i in 0..<count { out[i] = Self.byte(sums[i]) }
  }

  /// One row of the target's width from one row of `source`.
  private func rowPass(
    _ source: Source, _ row: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<UInt8>
  ) {
    let step = source.pixelBytes
    let (red, green, blue) = source.offsets
    guard let axis = alongRows else {
      for x in 0..<to.width {
        let pixel = row + x &* step
        if channels == 1 {
          out[x] = pixel[0]
        } else {
          (out[x &* 3], out[x &* 3 &+ 1], out[x &* 3 &+ 2]) = (
            pixel[red], pixel[green], pixel[blue]
          )
        }
      }
      return
    }
    let (spans, weights) = (axis.spans.start, axis.weights.start)
    for x in 0..<to.width {
      let span = spans[x]
      let taps = weights + span.weights
      var pixel = row + span.first &* step
      if channels == 1 {
        var sum: Int32 = 1 << 21
        for tap in 0..<span.count {
          sum = sum &+ Int32(pixel[0]) &* taps[tap]
          pixel += step
        }
        out[x] = Self.byte(sum)
        continue
      }
      var (r, g, b): (Int32, Int32, Int32) = (1 << 21, 1 << 21, 1 << 21)
      for tap in 0..<span.count {
        let weight = taps[tap]
        r = r &+ Int32(pixel[red]) &* weight
        g = g &+ Int32(pixel[green]) &* weight
        b = b &+ Int32(pixel[blue]) &* weight
        pixel += step
      }
      let place = out + x &* 3
      place[0] = Self.byte(r)
      place[1] = Self.byte(g)
      place[2] = Self.byte(b)
    }
  }

  @inline(__always)
  private static func byte(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(max(sum &>> 22, 0), 255))
  }
}
