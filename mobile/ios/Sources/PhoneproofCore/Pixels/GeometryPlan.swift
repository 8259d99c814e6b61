/// The geometry of one picture size in whole numbers. The rounding rules are those of the
/// frameworks whose models are converted; quotients and products are float64, in the written order.
public struct GeometryPlan: Sendable, Equatable {
  /// Keep rows [top, top + height) and columns [left, left + width).
  public struct CropStep: Sendable, Equatable {
    public let top: Int
    public let left: Int
    public let height: Int
    public let width: Int
  }

  /// `gainY`, `gainX`: what coordinates scale with, for contain and cover the ratio of the formula.
  public struct ResizeStep: Sendable, Equatable {
    public let height: Int
    public let width: Int
    public let gainY: Double
    public let gainX: Double
    public let filter: Filter
  }

  /// The picture at (top, left) of a canvas filled with `value`.
  public struct PadStep: Sendable, Equatable {
    public let top: Int
    public let left: Int
    public let height: Int
    public let width: Int
    public let value: [UInt8]
  }

  public enum Step: Sendable, Equatable {
    case crop(CropStep)
    case resize(ResizeStep)
    case pad(PadStep)

    var size: Size {
      switch self {
      case .crop(let step): return Size(height: step.height, width: step.width)
      case .resize(let step): return Size(height: step.height, width: step.width)
      case .pad(let step): return Size(height: step.height, width: step.width)
      }
    }
  }

  /// Of the oriented original.
  public let original: Size
  /// Steps that would change nothing are left out, except a resize.
  public let steps: [Step]
  /// Of the tensor.
  public let size: Size
  /// Tensor pixels per original pixel.
  public let gainY: Double
  public let gainX: Double
  /// Where the original's edge lies in the tensor, in tensor pixels.
  public let top: Double
  public let left: Double

  /// - Throws: `PhoneproofError.geometry` where a crop or a pad does not fit, or the last step does
  ///   not end at the input's size.
  public init(_ input: ImageInput, height: Int, width: Int) throws {
    original = Size(height: height, width: width)
    var steps: [Step] = []
    var size = original
    for (index, op) in input.geometry.enumerated() {
      let step = try Self.step(op, number: index + 1, size: size)
      if case .resize = step {
        steps.append(step)
      } else if step.size != size {
        steps.append(step)
      }
      size = step.size
    }
    guard size == input.size else {
      throw PhoneproofError.geometry(
        .init(
          "the geometry ends at \(size), the input is \(input.size)",
          found: "a picture of \(original)",
          nextStep: "end the contract's geometry with a pad, crop or stretch to \(input.size)"))
    }
    self.steps = steps
    self.size = size
    (gainY, top) = Self.axis(steps, isY: true)
    (gainX, left) = Self.axis(steps, isY: false)
  }

  private static func step(_ op: GeometryOp, number: Int, size: Size) throws -> Step {
    switch op {
    case .crop(let crop): return .crop(try step(crop, number: number, size: size))
    case .resize(let resize): return .resize(step(resize, size: size))
    case .pad(let pad): return .pad(try step(pad, number: number, size: size))
    }
  }

  private static func step(_ op: Crop, number: Int, size: Size) throws -> CropStep {
    let cut = cutSize(op, size)
    guard cut.height <= size.height, cut.width <= size.width else {
      throw PhoneproofError.geometry(
        .init(
          "geometry step \(number) (crop) cuts more than the picture has",
          found: "a crop of \(cut) from a picture of \(size)",
          nextStep: "take a larger picture, or scale before the crop in the contract"))
    }
    let isCentred = op.anchor == .center
    return CropStep(
      top: isCentred ? op.round(Double(size.height - cut.height) / 2) : 0,
      left: isCentred ? op.round(Double(size.width - cut.width) / 2) : 0,
      height: cut.height, width: cut.width)
  }

  private static func cutSize(_ op: Crop, _ size: Size) -> Size {
    let (height, width) = (Double(size.height), Double(size.width))
    switch op.cut {
    case .size(let size): return size
    case .fraction(let part):
      return Size(
        height: fraction(op, part, size.height), width: fraction(op, part, size.width))
    case .aspect(let ratio):
      if width > height * ratio {
        let side = min(size.width, max(1, op.round(height * ratio)))
        return Size(height: size.height, width: side)
      }
      return Size(
        height: min(size.height, max(1, op.round(width / ratio))), width: size.width)
    }
  }

  private static func fraction(_ op: Crop, _ part: Double, _ side: Int) -> Int {
    let length = Double(side)
    if op.anchor == .topLeft { return max(1, op.round(length * part)) }
    return max(1, side - 2 * op.round((length - length * part) / 2))
  }

  private static func step(_ op: Resize, size: Size) -> ResizeStep {
    let (height, width) = (Double(size.height), Double(size.width))
    let (targetY, targetX) = (Double(op.size.height), Double(op.size.width))
    if !op.upscale, size.height <= op.size.height, size.width <= op.size.width {
      return ResizeStep(
        height: size.height, width: size.width, gainY: 1, gainX: 1, filter: op.filter)
    }
    let (gainY, gainX) = (targetY / height, targetX / width)
    if op.to == .stretch || gainY == gainX {
      return ResizeStep(
        height: op.size.height, width: op.size.width, gainY: gainY, gainX: gainX,
        filter: op.filter)
    }
    let isContained = op.to == .contain
    if (gainY < gainX) == isContained {
      let free = isContained ? width * gainY : targetY * width / height
      return ResizeStep(
        height: op.size.height, width: max(1, op.round(free)), gainY: gainY, gainX: gainY,
        filter: op.filter)
    }
    let free = isContained ? height * gainX : targetX * height / width
    return ResizeStep(
      height: max(1, op.round(free)), width: op.size.width, gainY: gainX, gainX: gainX,
      filter: op.filter)
  }

  private static func step(_ op: Pad, number: Int, size: Size) throws -> PadStep {
    let missingY = op.size.height - size.height
    let missingX = op.size.width - size.width
    guard missingY >= 0, missingX >= 0 else {
      throw PhoneproofError.geometry(
        .init(
          "geometry step \(number) (pad) is smaller than the picture",
          found: "a pad to \(op.size) of a picture of \(size)",
          nextStep: "scale to contain, or crop, before the pad in the contract"))
    }
    let isCentred = op.anchor == .center
    return PadStep(
      top: isCentred ? missingY / 2 : 0, left: isCentred ? missingX / 2 : 0,
      height: op.size.height, width: op.size.width, value: op.value)
  }

  /// `tensor = original * gain + offset`.
  private static func axis(_ steps: [Step], isY: Bool) -> (Double, Double) {
    var (gain, offset) = (1.0, 0.0)
    for step in steps {
      switch step {
      case .crop(let crop): offset -= Double(isY ? crop.top : crop.left)
      case .pad(let pad): offset += Double(isY ? pad.top : pad.left)
      case .resize(let resize):
        gain = isY ? resize.gainY : resize.gainX
        offset *= gain
      }
    }
    return (gain, offset)
  }
}

/// A rectangle: x1, y1 and x2, y2 in pixels.
public struct Box: Sendable, Equatable {
  public var x1: Float
  public var y1: Float
  public var x2: Float
  public var y2: Float

  public init(x1: Float, y1: Float, x2: Float, y2: Float) {
    self.x1 = x1
    self.y1 = y1
    self.x2 = x2
    self.y2 = y2
  }
}

extension GeometryPlan {
  /// A box in tensor pixels as pixels of the oriented original, clipped to it: float64, rounded
  /// once. NaN stays NaN.
  public func toOriginal(_ box: Box) -> Box {
    func back(_ value: Float, _ offset: Double, _ gain: Double, _ side: Int) -> Float {
      let original = (Double(value) - offset) / gain
      if original < 0 { return 0 }
      return Float(original > Double(side) ? Double(side) : original)
    }
    return Box(
      x1: back(box.x1, left, gainX, original.width),
      y1: back(box.y1, top, gainY, original.height),
      x2: back(box.x2, left, gainX, original.width),
      y2: back(box.y2, top, gainY, original.height))
  }
}
