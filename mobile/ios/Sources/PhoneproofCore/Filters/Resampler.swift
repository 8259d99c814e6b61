/// A filter prepared for one size: coefficients and scratch memory, nothing is allocated while it
/// runs. One thread at a time.
protocol Resampler: AnyObject {
  /// Scales `source`, which has the size and channels it was prepared for, and gives the rows of
  /// `range` one after the other: channels innermost, red first.
  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void)
}

/// The same for filters that give pixels between whole numbers.
protocol FloatResampler: AnyObject {
  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<Float>) -> Void)
}

func makeResampler(_ filter: Filter, from: Size, to: Size, channels: Int) -> any Resampler {
  switch filter {
  case .pillowNearest:
    return Nearest(
      rows: PillowAxis.nearest(from.height, to.height),
      columns: PillowAxis.nearest(from.width, to.width), channels: channels)
  case .openCVNearest:
    return Nearest(
      rows: OpenCVAxis.nearest(from.height, to.height),
      columns: OpenCVAxis.nearest(from.width, to.width), channels: channels)
  case .openCVLinear:
    return OpenCVLinear(
      rows: OpenCVAxis.centred(from.height, to.height),
      columns: OpenCVAxis.centred(from.width, to.width), from: from, channels: channels)
  case .openCVArea: return makeOpenCVArea(from: from, to: to, channels: channels)
  case .openCVCubic: return OpenCVCubic(from: from, to: to, channels: channels)
  case .pillowBox, .pillowBilinear, .pillowHamming, .pillowBicubic, .pillowLanczos:
    return PillowConvolution(PillowKernel(filter), from: from, to: to, channels: channels)
  case .tensorFlowHalfPixel, .tensorFlowLegacy, .tensorFlowAlignCorners:
    preconditionFailure("gives floats")
  }
}

/// Copies pixels: nearest neighbours, and whatever has no resize at all.
final class Nearest: Resampler {
  private let rows: [Int]
  private let columns: [Int]
  private let channels: Int
  private let row: Memory<UInt8>

  init(rows: [Int], columns: [Int], channels: Int) {
    self.rows = rows
    self.columns = columns
    self.channels = channels
    row = Memory(columns.count * channels)
  }

  func rows(of source: Source, in range: Range<Int>, to sink: (Int, UnsafePointer<UInt8>) -> Void) {
    let out = row.start
    let step = source.pixelBytes
    let (red, green, blue) = source.offsets
    for y in range {
      let from = source.base + rows[y] * source.rowBytes
      columns.withUnsafeBufferPointer { columns in
        if channels == 1 {
          for x in 0..<columns.count { out[x] = from[columns[x] &* step] }
        } else {
          for x in 0..<columns.count {
            let pixel = from + columns[x] &* step
            out[x &* 3] = pixel[red]
            out[x &* 3 &+ 1] = pixel[green]
            out[x &* 3 &+ 2] = pixel[blue]
          }
        }
      }
      sink(y, out)
    }
  }
}
