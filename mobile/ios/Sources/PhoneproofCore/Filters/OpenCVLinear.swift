/// OpenCV's linear: weights of 11 bits, rows first; then the columns with the truncations of its
/// vector code: `(((u >> 4) * w0 >> 16) + ((l >> 4) * w1 >> 16) + 2) >> 2`.
final class OpenCVLinear: Resampler {
  private struct Column {
    /// Byte offsets of the two neighbours are made of these, once the pixel's length is known.
    let left: Int32
    let right: Int32
    let toLeft: Int32
    let toRight: Int32
  }

  private struct Row {
    let upper: Int
    let lower: Int
    let toUpper: Int32
    let toLower: Int32
  }

  private let columns: Memory<Column>
  private let rowsAt: [Row]
  private let channels: Int
  private let result: Memory<UInt8>
  /// Two scaled rows, `value >> 4`, and which source rows they are.
  private let scaled: Memory<Int16>
  private var held = (-1, -1)

  init(rows: [OpenCVAxis.Sample], columns: [OpenCVAxis.Sample], from: Size, channels: Int) {
    let last = from.width - 1
    self.columns = Memory(
      columns.map { sample in
        let isOutside = sample.index < 0 || sample.index >= last
        let fraction = isOutside ? 0 : sample.fraction
        let left = min(max(sample.index, 0), last)
        return Column(
          left: Int32(left), right: Int32(min(left + 1, last)),
          toLeft: OpenCVAxis.elevenBits(1 - fraction), toRight: OpenCVAxis.elevenBits(fraction))
      })
    let end = from.height - 1
    // The rows' weights stay as they are beyond the edge: both rows are then the edge row, and the
    // truncations of the two halves show.
    rowsAt = rows.map { sample in
      Row(
        upper: min(max(sample.index, 0), end), lower: min(max(sample.index + 1, 0), end),
        toUpper: OpenCVAxis.elevenBits(1 - sample.fraction),
        toLower: OpenCVAxis.elevenBits(sample.fraction))
    }
    self.channels = channels
    result = Memory(columns.count * channels)
    scaled = Memory(2 * columns.count * channels)
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    held = (-1, -1)
    for y in range {
      let row = rowsAt[y]
      let upper = scaledRow(row.upper, of: source, keeping: row.lower)
      // A row of weight zero adds nothing, whatever it holds.
      let lower = row.toLower == 0 ? upper : scaledRow(row.lower, of: source, keeping: row.upper)
      blend(upper, lower, row)
      sink(y, result.start)
    }
  }

  /// The scaled form of one source row, made where it is not there already.
  private func scaledRow(_ y: Int, of source: Source, keeping other: Int) -> UnsafePointer<Int16> {
    let count = columns.count * channels
    if held.0 == y { return UnsafePointer(scaled.start) }
    if held.1 == y { return UnsafePointer(scaled.start + count) }
    let isFirst = held.0 != other
    if isFirst { held.0 = y } else { held.1 = y }
    let out = isFirst ? scaled.start : scaled.start + count
    scale(source.base + y * source.rowBytes, source, out)
    return UnsafePointer(out)
  }

  private func scale(
    _ row: UnsafePointer<UInt8>, _ source: Source, _ out: UnsafeMutablePointer<Int16>
  ) {
    let step = Int32(source.pixelBytes)
    let (red, green, blue) = source.offsets
    let columns = self.columns.start
    if channels == 1 {
      for x in 0..<self.columns.count {
        let column = columns[x]
        let (a, b) = (row[Int(column.left &* step)], row[Int(column.right &* step)])
        out[x] = Self.mixed(a, b, column)
      }
      return
    }
    for x in 0..<self.columns.count {
      let column = columns[x]
      let left = row + Int(column.left &* step)
      let right = row + Int(column.right &* step)
      let place = out + x &* 3
      place[0] = Self.mixed(left[red], right[red], column)
      place[1] = Self.mixed(left[green], right[green], column)
      place[2] = Self.mixed(left[blue], right[blue], column)
    }
  }

  @inline(__always)
  private static func mixed(_ left: UInt8, _ right: UInt8, _ column: Column) -> Int16 {
    let sum = Int32(left) &* column.toLeft &+ Int32(right) &* column.toRight
    return Int16(truncatingIfNeeded: sum &>> 4)
  }

  private func blend(_ upper: UnsafePointer<Int16>, _ lower: UnsafePointer<Int16>, _ row: Row) {
    let out = result.start
    let (w0, w1) = (row.toUpper, row.toLower)
    for i in 0..<result.count {
      let above = Int16(truncatingIfNeeded: (Int32(upper[i]) &* w0) &>> 16)
      let below = Int16(truncatingIfNeeded: (Int32(lower[i]) &* w1) &>> 16)
      // At most 1020 + 1020: 255 after the shift, so nothing is clipped.
      out[i] = UInt8(truncatingIfNeeded: (above &+ below &+ 2) &>> 2)
    }
  }
}
