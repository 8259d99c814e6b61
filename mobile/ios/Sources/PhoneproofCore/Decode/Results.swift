/// One object: its label's index and text, and where it is in the upright picture.
public struct Detection: Sendable, Equatable {
  public let classIndex: Int
  public let label: String
  public let score: Float
  public let box: Box

  public init(classIndex: Int, label: String, score: Float, box: Box) {
    self.classIndex = classIndex
    self.label = label
    self.score = score
    self.box = box
  }
}

/// One class and how probable it is.
public struct Classification: Sendable, Equatable {
  public let classIndex: Int
  public let label: String
  public let probability: Float

  public init(classIndex: Int, label: String, probability: Float) {
    self.classIndex = classIndex
    self.label = label
    self.probability = probability
  }
}

/// An output of one picture as real numbers, without the batch axis.
public struct RawOutput: Sendable, Equatable {
  public let tensor: String
  public let shape: [Int]
  public let values: [Float]
}

/// What the outputs mean, by the contract's task.
public enum Results: Sendable, Equatable {
  /// Best first, then in the order of anchors and classes.
  case detections([Detection])
  /// Every class with a label, most probable first, equal ones by index.
  case classes([Classification])
  case raw([RawOutput])
}

/// An output tensor in an engine's memory, batch first, dense and row-major.
public struct OutputTensor {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  public let bytes: UnsafeRawBufferPointer

  public init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
    self.name = name
    self.type = type
    self.shape = shape
    self.bytes = bytes
  }
}
