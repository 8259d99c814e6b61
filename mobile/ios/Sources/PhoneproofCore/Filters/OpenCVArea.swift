/// OpenCV's area: whole-number shrinking averages blocks, other shrinking sums in float32, and as
/// soon as one axis grows it is linear with other positions.
func makeOpenCVArea(from: Size, to: Size, channels: Int) -> any Resampler {
  let y = OpenCVAxis.scale(from.height, to.height)
  let x = OpenCVAxis.scale(from.width, to.width)
  if min(y, x) < 1 {
    return OpenCVLinear(
      rows: OpenCVAxis.sharp(from.height, to.height),
      columns: OpenCVAxis.sharp(from.width, to.width), from: from, channels: channels)
  }
  let isWhole = [y, x].allSatisfy {
    abs($0 - $0.rounded(.toNearestOrEven)) < Double.ulpOfOne
  }
  return isWhole
    ? BlockAverage(from: from, to: to, channels: channels)
    : AreaSum(from: from, to: to, scaleY: y, scaleX: x, channels: channels)
}

/// The mean of each block: `(sum + 2) >> 2` of 2 x 2, else `sum * float32(1 / count)`, halves to
/// even.
final class BlockAverage: Resampler {
  private let high: Int
  private let wide: Int
  private let channels: Int
  private let sums: Memory<Int32>
  private let result: Memory<UInt8>

  init(from: Size, to: Size, channels: Int) {
    high = from.height / to.height
    wide = from.width / to.width
    self.channels = channels
    sums = Memory(to.width * channels)
    result = Memory(to.width * channels)
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    let share = Float(1) / Float(high * wide)
    for y in range {
      sums.start.update(repeating: 0, count: sums.count)
      for row in y * high..<(y + 1) * high { add(source.base + row * source.rowBytes, source) }
      let (sums, out) = (sums.start, result.start)
      if high == 2 && wide == 2 {
        for i in 0..<result.count { out[i] = UInt8(truncatingIfNeeded: (sums[i] &+ 2) &>> 2) }
      } else {
        for i in 0..<result.count {
          out[i] = UInt8((Float(sums[i]) * share).rounded(.toNearestOrEven))
        }
      }
      sink(y, out)
    }
  }

  private func add(_ row: UnsafePointer<UInt8>, _ source: Source) {
    let sums = self.sums.start
    withUnsafeBytes(of: source.offsets) { raw in
      let offsets = raw.bindMemory(to: Int.self)
      for x in 0..<result.count / channels {
        for channel in 0..<channels {
          var from = row + x &* wide &* source.pixelBytes + offsets[channel]
          var sum: Int32 = 0
          for _ in 0..<wide {
            sum &+= Int32(from[0])
            from += source.pixelBytes
          }
          sums[x &* channels &+ channel] &+= sum
        }
      }
    }
  }
}

/// Float32 sums over the columns, then over the rows, in ascending order; every product and every
/// sum is rounded.
final class AreaSum: Resampler {
  private struct Share {
    let source: Int
    let weight: Float
  }

  private struct Span {
    let first: Int
    let end: Int
  }

  private let columnSpans: Memory<Span>
  private let columnShares: Memory<Share>
  private let rowSpans: Memory<Span>
  private let rowShares: Memory<Share>
  private let channels: Int
  /// One scaled row; a second slot keeps the row that two targets share.
  private let scaled: Memory<Float>
  private var held = (-1, -1)
  private let sums: Memory<Float>
  private let result: Memory<UInt8>

  init(from: Size, to: Size, scaleY: Double, scaleX: Double, channels: Int) {
    let columns = Self.axis(from.width, to.width, scaleX)
    let rows = Self.axis(from.height, to.height, scaleY)
    columnSpans = Memory(columns.spans)
    columnShares = Memory(columns.shares)
    rowSpans = Memory(rows.spans)
    rowShares = Memory(rows.shares)
    self.channels = channels
    scaled = Memory(2 * to.width * channels)
    sums = Memory(to.width * channels)
    result = Memory(to.width * channels)
  }

  private static func axis(
    _ source: Int, _ target: Int, _ scale: Double
  ) -> (spans: [Span], shares: [Share]) {
    var spans: [Span] = []
    var shares: [Share] = []
    for x in 0..<target {
      let first = shares.count
      shares += Self.shares(begin: Double(x) * scale, scale: scale, source: source)
      spans.append(Span(first: first, end: shares.count))
    }
    return (spans, shares)
  }

  /// The source pixels under [begin, begin + scale); less than a thousandth of one is left out.
  private static func shares(begin: Double, scale: Double, source: Int) -> [Share] {
    let end = begin + scale
    let length = min(scale, Double(source) - begin)
    let last = min(Int(end.rounded(.down)), source - 1)
    let first = min(Int(begin.rounded(.up)), last)
    var shares: [Share] = []
    if Double(first) - begin > 1e-3 {
      shares.append(Share(source: first - 1, weight: Float((Double(first) - begin) / length)))
    }
    for index in first..<last { shares.append(Share(source: index, weight: Float(1 / length))) }
    if end - Double(last) > 1e-3 {
      let part = min(min(end - Double(last), 1), length)
      shares.append(Share(source: last, weight: Float(part / length)))
    }
    return shares
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    held = (-1, -1)
    let (sums, out) = (sums.start, result.start)
    for y in range {
      sums.update(repeating: 0, count: result.count)
      let span = rowSpans.start[y]
      for place in span.first..<span.end {
        let share = rowShares.start[place]
        let row = scaledRow(share.source, of: source)
        for i in 0..<result.count { sums[i] = sums[i] + row[i] * share.weight }
      }
      for i in 0..<result.count { out[i] = roundedByte(sums[i]) }
      sink(y, out)
    }
  }

  private func scaledRow(_ y: Int, of source: Source) -> UnsafePointer<Float> {
    let slot = y & 1
    let out = scaled.start + slot * result.count
    if (slot == 0 ? held.0 : held.1) != y {
      if slot == 0 { held.0 = y } else { held.1 = y }
      scale(source.base + y * source.rowBytes, source, out)
    }
    return UnsafePointer(out)
  }

  private func scale(
    _ row: UnsafePointer<UInt8>, _ source: Source, _ out: UnsafeMutablePointer<Float>
  ) {
    withUnsafeBytes(of: source.offsets) { raw in
      let offsets = raw.bindMemory(to: Int.self)
      for x in 0..<columnSpans.count {
        let span = columnSpans.start[x]
        for channel in 0..<channels {
          var sum: Float = 0
          for place in span.first..<span.end {
            let share = columnShares.start[place]
            let pixel = row[share.source &* source.pixelBytes &+ offsets[channel]]
            sum = sum + Float(pixel) * share.weight
          }
          out[x &* channels &+ channel] = sum
        }
      }
    }
  }
}
