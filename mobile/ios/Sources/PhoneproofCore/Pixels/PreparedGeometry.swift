/// One picture size, ready to run: what is cut before the resize, the resize, and where its result
/// lies in the tensor.
final class PreparedGeometry {
  let plan: GeometryPlan
  private let gray: GrayFormula?
  private let grayPixels: Memory<UInt8>?
  /// Steps before the resize; a pad there needs a canvas of its own.
  private let before: [(step: GeometryPlan.Step, canvas: Memory<UInt8>?)]
  private let filter: (any Resampler)?
  private let floatFilter: (any FloatResampler)?
  private let placement: Placement
  private let writer: TensorWriter
  private let channels: Int
  private let isReversed: Bool

  init(_ plan: GeometryPlan, _ input: ImageInput, _ writer: TensorWriter) {
    self.plan = plan
    self.writer = writer
    channels = input.channelCount
    isReversed = input.channels == .bgr
    gray = input.gray
    let place = plan.steps.firstIndex { if case .resize = $0 { return true } else { return false } }
    // Without a resize crops still come first, so that only what is needed is copied.
    let split =
      place ?? plan.steps.firstIndex { if case .crop = $0 { return false } else { return true } }
      ?? plan.steps.count
    var size = plan.original
    grayPixels = input.gray == nil ? nil : Memory(size.height * size.width)
    before = plan.steps[..<split].map { step in
      size = step.size
      guard case .pad = step else { return (step, nil) }
      return (step, Memory(step.size.height * step.size.width * input.channelCount))
    }
    var after = plan.steps[split...]
    if case .resize(let resize) = after.first {
      after = after.dropFirst()
      let target = Size(height: resize.height, width: resize.width)
      let isFloat = resize.filter.givesFloats
      floatFilter =
        isFloat
        ? TensorFlowBilinear(resize.filter, from: size, to: target, channels: channels) : nil
      filter =
        isFloat ? nil : makeResampler(resize.filter, from: size, to: target, channels: channels)
      size = target
    } else {
      floatFilter = nil
      filter = Nearest(
        rows: Array(0..<size.height), columns: Array(0..<size.width), channels: channels)
    }
    placement = Placement(of: size, after: after, in: plan.size)
  }

  func run(_ picture: Source, into tensor: UnsafeMutableRawPointer) {
    var source = picture
    if let gray, let grayPixels {
      gray.fill(grayPixels.start, from: source)
      source = Source(
        grayPixels.start, Size(height: source.height, width: source.width), channels: 1)
    }
    for (step, canvas) in before {
      switch (step, canvas) {
      case (.crop(let crop), _): source = source.cropped(crop)
      case (.pad(let pad), .some(let canvas)): source = padded(source, pad, canvas)
      default: break
      }
    }
    let isFloat = floatFilter != nil
    for layer in placement.layers {
      writer.paint(layer, around: placement.window, into: tensor, asFloats: isFloat)
    }
    let (window, first) = (placement.window, placement.first)
    let rows = first.row..<first.row + window.height
    floatFilter?.rows(of: source, in: rows) { y, row in
      writer.write(row + first.column * channels, at: y - first.row, in: window, into: tensor)
    }
    filter?.rows(of: source, in: rows) { y, row in
      writer.write(row + first.column * channels, at: y - first.row, in: window, into: tensor)
    }
  }

  private func padded(
    _ source: Source, _ pad: GeometryPlan.PadStep, _ canvas: Memory<UInt8>
  ) -> Source {
    let out = canvas.start
    // The value is in the contract's order, pixels before the tensor are red first.
    let value = isReversed ? pad.value.reversed() : pad.value
    for i in 0..<pad.height * pad.width {
      for channel in 0..<channels { out[i * channels + channel] = value[channel] }
    }
    withUnsafeBytes(of: source.offsets) { raw in
      let offsets = raw.bindMemory(to: Int.self)
      for y in 0..<source.height {
        let row = source.base + y * source.rowBytes
        var place = out + ((pad.top + y) * pad.width + pad.left) * channels
        for x in 0..<source.width {
          for channel in 0..<channels {
            place[channel] = row[x * source.pixelBytes + offsets[channel]]
          }
          place += channels
        }
      }
    }
    return Source(out, Size(height: pad.height, width: pad.width), channels: channels)
  }
}

/// Rows and columns of a tensor.
struct Window {
  var top: Int
  var left: Int
  var height: Int
  var width: Int

  mutating func move(_ down: Int, _ right: Int) {
    top += down
    left += right
  }

  func clipped(to size: Size) -> Window {
    let (y, x) = (max(top, 0), max(left, 0))
    return Window(
      top: y, left: x, height: max(0, min(top + height, size.height) - y),
      width: max(0, min(left + width, size.width) - x))
  }
}

/// Where the scaled picture lies in the tensor, and what is painted around it, outermost first.
struct Placement {
  struct Layer {
    var window: Window
    let value: [UInt8]
  }

  let window: Window
  /// The first row and column of the scaled picture that the window shows.
  let first: (row: Int, column: Int)
  let layers: [Layer]

  init(of scaled: Size, after steps: ArraySlice<GeometryPlan.Step>, in size: Size) {
    var picture = Window(top: 0, left: 0, height: scaled.height, width: scaled.width)
    var layers: [Layer] = []
    var visible = picture
    func cut(_ window: Window, _ bounds: Window) -> Window {
      var moved = window
      moved.move(-bounds.top, -bounds.left)
      moved = moved.clipped(to: Size(height: bounds.height, width: bounds.width))
      moved.move(bounds.top, bounds.left)
      return moved
    }
    for step in steps {
      switch step {
      case .crop(let crop):
        let bounds = Window(
          top: crop.top, left: crop.left, height: crop.height, width: crop.width)
        visible = cut(visible, bounds)
        for index in layers.indices { layers[index].window = cut(layers[index].window, bounds) }
        picture.move(-crop.top, -crop.left)
        visible.move(-crop.top, -crop.left)
        for index in layers.indices { layers[index].window.move(-crop.top, -crop.left) }
      case .pad(let pad):
        picture.move(pad.top, pad.left)
        visible.move(pad.top, pad.left)
        for index in layers.indices { layers[index].window.move(pad.top, pad.left) }
        let all = Window(top: 0, left: 0, height: pad.height, width: pad.width)
        layers.insert(Layer(window: all, value: pad.value), at: 0)
      case .resize: break
      }
    }
    window = visible
    first = (visible.top - picture.top, visible.left - picture.left)
    self.layers = layers
  }
}
