/// How one file's tensors carry the contract (schema `phoneproof.binding/1`).
public struct Binding: Sendable, Equatable {
  /// SHA-256 of the file; nil inside the file itself.
  public let artifact: String?
  /// SHA-256 of the contract.
  public let contract: String
  public let format: String
  public let precision: String
  public let batch: Int
  public let input: InputBinding
  public let outputs: [OutputBinding]
  public let anchors: Anchors?
  public let nmsInFile: Bool
  public let decodeOverride: DecodePolicy?

  /// - Throws: `PhoneproofError.binding` where it was written for another contract.
  public func require(_ contract: Contract) throws {
    guard self.contract == contract.sha256 else {
      throw PhoneproofError.binding(
        .init(
          "the binding belongs to another contract",
          found: "\(self.contract.prefix(12)) instead of \(contract.sha256.prefix(12))",
          nextStep: "use the contract and the binding of one bundle"))
    }
  }
}

public enum ElementType: String, Sendable, Codable, CaseIterable {
  case float32, float16, int8, uint8, int16, int32, int64, bool

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .int8, .uint8, .bool: return 1
    case .float16, .int16: return 2
    case .float32, .int32: return 4
    case .int64: return 8
    }
  }
}

/// Per-tensor affine quantization: real = (q - zeroPoint) * scale.
public struct Quantization: Sendable, Equatable {
  public let scale: Double
  public let zeroPoint: Int
}

/// The input tensor. `normaliseInFile`: scale, mean and std are inside the model.
public struct InputBinding: Sendable, Equatable {
  public enum Layout: String, Sendable, CaseIterable {
    case channelsFirst = "NCHW"
    case channelsLast = "NHWC"
  }

  public let input: String
  public let tensor: String
  public let shape: [Int]
  public let layout: Layout
  public let type: ElementType
  public let quantization: Quantization?
  public let normaliseInFile: Bool
}

/// One role carried by one output tensor or by a slice of it.
public struct OutputBinding: Sendable, Equatable {
  public enum Role: String, Sendable, CaseIterable {
    case boxes, scores, objectness, classes, count, dfl, keypoints, heatmap, mask, raw
  }
  public enum Axis: String, Sendable, CaseIterable {
    case anchor, coord, y, x, bin, channel
    case classes = "class"
  }
  public enum Activation: String, Sendable, CaseIterable { case none, sigmoid, softmax }

  public let tensor: String
  public let role: Role
  /// Batch first.
  public let shape: [Int]
  /// Without the batch.
  public let axes: [Axis]
  public let level: Int?
  /// Along the value axis.
  public let slice: Range<Int>?
  /// Anchors of one cell that lie one after the other along the value axis.
  public let packed: Int
  /// Added to the file's class to get the label's index.
  public let classOffset: Int
  public let type: ElementType
  public let quantization: Quantization?
  public let activation: Activation
  public let box: BoxFormat?
}

/// How four numbers mean a rectangle.
public struct BoxFormat: Sendable, Equatable {
  public enum Format: String, Sendable, CaseIterable { case xyxy, yxyx, cxcywh, ltrb, ssd }
  public enum Units: String, Sendable, CaseIterable { case pixels, fraction, stride }
  public enum Order: String, Sendable, CaseIterable { case xy, yx }

  public let format: Format
  public let units: Units
  /// Of x, y, width and height; nil is four times 1.
  public let variances: [Double]?
  public let order: Order
}

public enum Anchors: Sendable, Equatable {
  /// One anchor a cell of each level's grid.
  case grid(strides: [Int], offset: Double)
  /// For each stride widths and heights in pixels.
  case yolo(strides: [Int], shapes: [[AnchorShape]])
  /// Rows cx, cy, w, h.
  case priors([Float])

  public struct AnchorShape: Sendable, Equatable {
    public let width: Double
    public let height: Double
  }
}
