/// Writes rows of pixels into a tensor: one table look-up a value, or float32 arithmetic where the
/// pixels are floats.
final class TensorWriter {
  private let layout: InputBinding.Layout
  private let size: Size
  private let channels: Int
  /// Which channel of a row, red first, each channel of the tensor takes.
  private let order: [Int]
  private let table: Memory<UInt32>
  private let table16: Memory<UInt16>
  private let table8: Memory<UInt8>
  private let elementSize: Int
  private let normaliseInFile: Bool
  private let storing: Storing
  private let scale: Float
  private let mean: [Float]
  private let std: [Float]

  init(_ input: ImageInput, _ binding: InputBinding, _ tables: ValueTables) throws {
    layout = binding.layout
    size = input.size
    channels = input.channelCount
    switch input.channels {
    case .rgb: order = [0, 1, 2]
    case .bgr: order = [2, 1, 0]
    case .gray: order = [0]
    }
    table = Memory(tables.bits)
    table16 = Memory(tables.bits.map { UInt16(truncatingIfNeeded: $0) })
    table8 = Memory(tables.bits.map { UInt8(truncatingIfNeeded: $0) })
    elementSize = binding.type.size
    normaliseInFile = binding.normaliseInFile
    storing = try Storing(binding)
    scale = Float(input.scale)
    mean = input.mean.map { Float($0) }
    std = input.std.map { Float($0) }
  }

  /// One row of the window, `y` counted from its top.
  func write(
    _ row: UnsafePointer<UInt8>, at y: Int, in window: Window, into tensor: UnsafeMutableRawPointer
  ) {
    let place = (window.top + y) * size.width + window.left
    switch elementSize {
    case 1: look(row, table8.start, place, window.width, tensor.assumingMemoryBound(to: UInt8.self))
    case 2:
      look(row, table16.start, place, window.width, tensor.assumingMemoryBound(to: UInt16.self))
    default:
      look(row, table.start, place, window.width, tensor.assumingMemoryBound(to: UInt32.self))
    }
  }

  @inline(__always)
  private func look<Bits: BitwiseCopyable>(
    _ row: UnsafePointer<UInt8>, _ table: UnsafePointer<Bits>, _ place: Int, _ count: Int,
    _ tensor: UnsafeMutablePointer<Bits>
  ) {
    let plane = size.height * size.width
    if channels == 1 {
      let out = tensor + place
      for x in 0..<count { out[x] = table[Int(row[x])] }
    } else if layout == .channelsLast {
      let out = tensor + place * 3
      let (first, last) = (order[0], order[2])
      for x in 0..<count {
        let pixel = row + x &* 3
        let to = out + x &* 3
        to[0] = table[Int(pixel[first])]
        to[1] = table[256 &+ Int(pixel[1])]
        to[2] = table[512 &+ Int(pixel[last])]
      }
    } else {
      for channel in 0..<3 {
        let out = tensor + channel * plane + place
        let from = row + order[channel]
        let values = table + channel * 256
        for x in 0..<count { out[x] = values[Int(from[x &* 3])] }
      }
    }
  }

  /// The same for pixels between whole numbers.
  func write(
    _ row: UnsafePointer<Float>, at y: Int, in window: Window, into tensor: UnsafeMutableRawPointer
  ) {
    let place = (window.top + y) * size.width + window.left
    for channel in 0..<channels {
      let from = row + order[channel]
      for x in 0..<window.width {
        put(bits(from[x &* channels], channel), channel, place + x, tensor)
      }
    }
  }

  /// Fills a layer's window, but for what lies under the picture.
  func paint(
    _ layer: Placement.Layer, around hole: Window, into tensor: UnsafeMutableRawPointer,
    asFloats: Bool
  ) {
    let window = layer.window
    let right = window.left + window.width
    for channel in 0..<channels {
      let value = layer.value[channel]
      let bits = asFloats ? bits(Float(value), channel) : table.start[channel * 256 + Int(value)]
      for y in window.top..<window.top + window.height {
        let isBeside = y >= hole.top && y < hole.top + hole.height && hole.width > 0
        let end = isBeside ? hole.left : right
        put(bits, channel, y, window.left..<end, tensor)
        if isBeside { put(bits, channel, y, hole.left + hole.width..<right, tensor) }
      }
    }
  }

  /// `(p * scale - mean) / std`, each operation in float32.
  @inline(__always)
  private func bits(_ pixel: Float, _ channel: Int) -> UInt32 {
    if normaliseInFile { return storing.bits(pixel) }
    let scaled = pixel * scale
    let centred = scaled - mean[channel]
    return storing.bits(centred / std[channel])
  }

  @inline(__always)
  private func put(
    _ bits: UInt32, _ channel: Int, _ y: Int, _ columns: Range<Int>,
    _ tensor: UnsafeMutableRawPointer
  ) {
    for x in columns { put(bits, channel, y &* size.width &+ x, tensor) }
  }

  @inline(__always)
  private func put(_ bits: UInt32, _ channel: Int, _ place: Int, _ tensor: UnsafeMutableRawPointer)
  {
    let index =
      layout == .channelsLast
      ? place &* channels &+ channel : channel &* (size.height &* size.width) &+ place
    switch elementSize {
    case 1: tensor.assumingMemoryBound(to: UInt8.self)[index] = UInt8(truncatingIfNeeded: bits)
    case 2: tensor.assumingMemoryBound(to: UInt16.self)[index] = UInt16(truncatingIfNeeded: bits)
    default: tensor.assumingMemoryBound(to: UInt32.self)[index] = bits
    }
  }
}
