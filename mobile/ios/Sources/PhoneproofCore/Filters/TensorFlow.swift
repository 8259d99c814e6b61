/// TensorFlow's bilinear resize: `left + (right - left) * fx` in both rows, then
/// `top + (bottom - top) * fy`; every operation in float32, no fused multiply-add.
final class TensorFlowBilinear: FloatResampler {
  private struct Sample {
    let lower: Int
    let upper: Int
    let fraction: Float
  }

  private let rowsAt: [Sample]
  private let columns: Memory<Sample>
  private let channels: Int
  private let top: Memory<Float>
  private let bottom: Memory<Float>
  private let result: Memory<Float>

  init(_ filter: Filter, from: Size, to: Size, channels: Int) {
    rowsAt = Self.samples(filter, from.height, to.height)
    columns = Memory(Self.samples(filter, from.width, to.width))
    self.channels = channels
    top = Memory(to.width * channels)
    bottom = Memory(to.width * channels)
    result = Memory(to.width * channels)
  }

  private static func samples(_ filter: Filter, _ source: Int, _ target: Int) -> [Sample] {
    let isAligned = filter == .tensorFlowAlignCorners && target > 1
    let scale =
      isAligned ? Float(source - 1) / Float(target - 1) : Float(source) / Float(target)
    let half: Float = filter == .tensorFlowHalfPixel ? 0.5 : 0
    return (0..<target).map { x in
      let position = isAligned ? Float(x) * scale : (Float(x) + half) * scale - half
      let below = position.rounded(.down)
      return Sample(
        lower: min(max(Int(below), 0), source - 1),
        upper: min(max(Int(position.rounded(.up)), 0), source - 1),
        fraction: position - below)
    }
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<Float>) -> Void) {
    let (above, below, out) = (top.start, bottom.start, result.start)
    var held = (-1, -1)
    for y in range {
      let row = rowsAt[y]
      if held.0 != row.lower { scale(row.lower, of: source, into: above) }
      if held.1 != row.upper { scale(row.upper, of: source, into: below) }
      held = (row.lower, row.upper)
      for i in 0..<result.count {
        let step = (below[i] - above[i]) * row.fraction
        out[i] = above[i] + step
      }
      sink(y, out)
    }
  }

  private func scale(_ y: Int, of source: Source, into out: UnsafeMutablePointer<Float>) {
    let row = source.base + y * source.rowBytes
    let step = source.pixelBytes
    withUnsafeBytes(of: source.offsets) { raw in
      let offsets = raw.bindMemory(to: Int.self)
      for x in 0..<columns.count {
        let column = columns.start[x]
        let left = row + column.lower &* step
        let right = row + column.upper &* step
        for channel in 0..<channels {
          let (a, b) = (Float(left[offsets[channel]]), Float(right[offsets[channel]]))
          let way = (b - a) * column.fraction
          out[x &* channels &+ channel] = a + way
        }
      }
    }
  }
}
