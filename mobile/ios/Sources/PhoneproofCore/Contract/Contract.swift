/// What a model means, independent of any file (schema `phoneproof.contract/1`).
public struct Contract: Sendable, Equatable {
  public enum Task: String, Sendable, CaseIterable { case classify, detect, raw }

  public let name: String
  public let version: String
  public let task: Task
  public let input: ImageInput
  /// By class index; nil is background or a gap in the ids.
  public let labels: [String?]
  public let decode: DecodePolicy?
  /// Of the canonical JSON: what bindings and golden vectors name the contract by.
  public let sha256: String

  /// The label of a class, or `class 7` where the contract has none.
  public func label(of index: Int) -> String {
    (labels.indices.contains(index) ? labels[index] : nil) ?? "class \(index)"
  }
}

/// How a picture becomes the input tensor.
public struct ImageInput: Sendable, Equatable {
  public enum Orientation: String, Sendable, CaseIterable { case exif, ignore }
  public enum ColorProfile: String, Sendable, CaseIterable {
    case asStored = "as_stored"
    case sRGB = "srgb"
  }
  public enum Channels: String, Sendable, CaseIterable { case rgb, bgr, gray }
  public enum Values: String, Sendable, CaseIterable { case uint8, float32 }
  public enum Alpha: Sendable, Equatable {
    case drop
    case background(red: UInt8, green: UInt8, blue: UInt8)
  }

  public let name: String
  public let orientation: Orientation
  public let colorProfile: ColorProfile
  public let alpha: Alpha
  public let channels: Channels
  public let gray: GrayFormula?
  public let geometry: [GeometryOp]
  public let size: Size
  public let values: Values
  public let scale: Double
  public let mean: [Double]
  public let std: [Double]

  /// 1 for gray, else 3.
  public var channelCount: Int { channels == .gray ? 1 : 3 }
}

/// Height and width in pixels.
public struct Size: Sendable, Hashable, CustomStringConvertible {
  public let height: Int
  public let width: Int

  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  public var description: String { "\(height)x\(width)" }
}

/// Whose rounding makes gray of a colour.
public enum GrayFormula: String, Sendable, CaseIterable { case pillow, opencv, tensorflow }

public enum GeometryOp: Sendable, Equatable {
  case crop(Crop)
  case resize(Resize)
  case pad(Pad)
}

public enum Anchor: String, Sendable, CaseIterable {
  case center
  case topLeft = "top_left"
}

public enum Rounding: String, Sendable, CaseIterable {
  case halfEven = "half_even"
  case floor
  case ceil

  func callAsFunction(_ value: Double) -> Int {
    switch self {
    case .halfEven: return Int(value.rounded(.toNearestOrEven))
    case .floor: return Int(value.rounded(.down))
    case .ceil: return Int(value.rounded(.up))
    }
  }
}

/// Cut a rectangle out.
public struct Crop: Sendable, Equatable {
  public enum Cut: Sendable, Equatable {
    /// Both sides times this.
    case fraction(Double)
    /// The largest rectangle of this width / height.
    case aspect(Double)
    case size(Size)
  }

  public let cut: Cut
  public let anchor: Anchor
  public let round: Rounding
}

/// Scale the picture.
public struct Resize: Sendable, Equatable {
  public enum Fit: String, Sendable, CaseIterable { case contain, cover, stretch }

  public let to: Fit
  public let size: Size
  public let round: Rounding
  public let upscale: Bool
  public let filter: Filter
}

/// Fill up to `size` with `value`, which is in the order of the contract's channels.
public struct Pad: Sendable, Equatable {
  public let size: Size
  public let anchor: Anchor
  public let value: [UInt8]
}

/// Whose arithmetic scales pictures.
public enum Filter: String, Sendable, CaseIterable {
  case pillowNearest = "pillow.nearest"
  case pillowBox = "pillow.box"
  case pillowBilinear = "pillow.bilinear"
  case pillowHamming = "pillow.hamming"
  case pillowBicubic = "pillow.bicubic"
  case pillowLanczos = "pillow.lanczos"
  case openCVNearest = "opencv.nearest"
  case openCVLinear = "opencv.linear"
  case openCVArea = "opencv.area"
  case openCVCubic = "opencv.cubic"
  case tensorFlowHalfPixel = "tensorflow.bilinear_half_pixel"
  case tensorFlowLegacy = "tensorflow.bilinear_legacy"
  case tensorFlowAlignCorners = "tensorflow.bilinear_align_corners"

  /// Whether it gives pixels between whole numbers.
  public var givesFloats: Bool {
    switch self {
    case .tensorFlowHalfPixel, .tensorFlowLegacy, .tensorFlowAlignCorners: return true
    default: return false
    }
  }
}

/// What the app does with a detector's outputs.
public struct DecodePolicy: Sendable, Equatable {
  public let confidence: Double
  public let multiLabel: Bool
  /// Nil: the model's boxes are final.
  public let nms: NMS?

  public struct NMS: Sendable, Equatable {
    public let iou: Double
    public let classAgnostic: Bool
    public let preTopK: Int
    public let maxDetections: Int
  }
}
