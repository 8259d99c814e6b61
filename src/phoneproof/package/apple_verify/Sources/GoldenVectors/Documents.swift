import PhoneproofCore

/// `kit.json`: what the package was generated with. Paths are relative to the payload.
public struct Kit: Decodable, Sendable {
  public let name: String
  public let version: String
  public let contract: String
  public let artifacts: [KitArtifact]
}

/// One model of the payload. `leastDecibels` is what its precision is held to, where it is.
public struct KitArtifact: Decodable, Sendable {
  public let id: String
  public let format: String
  public let path: String
  public let sha256: String
  public let leastDecibels: Double?
  public let input: KitInput
  public let cases: [KitCase]
}

/// The model's one input. `table` holds channels x 256 elements: what each pixel becomes.
public struct KitInput: Decodable, Sendable {
  public let name: String
  public let dtype: ElementType
  public let shape: [Int]
  public let layout: Layout
  public let channels: Channels
  public let table: String?
}

public enum Layout: String, Decodable, Sendable {
  case channelsFirst = "NCHW"
  case channelsLast = "NHWC"
}

public enum Channels: String, Decodable, Sendable {
  case rgb, bgr, gray

  public var count: Int { self == .gray ? 1 : 3 }
}

/// One golden case: pixels (bytes in rows, channels innermost), or a whole tensor where the pixels
/// are no bytes.
public struct KitCase: Decodable, Sendable {
  public let id: String
  public let pixels: String?
  public let tensor: String?
}

/// What is needed of `golden/index.json`.
struct GoldenIndex: Decodable {
  struct Case: Decodable {
    let id: String
    let expected: Expected
  }

  struct Expected: Decodable {
    let artifacts: [Outputs]
  }

  struct Outputs: Decodable {
    let artifact: String
    let outputs: [GoldenTensor]
  }

  let schema: String
  let contract: String
  let cases: [Case]
}

/// A recorded tensor; its file holds the elements 0, `every`, 2 * `every`, ...
struct GoldenTensor: Decodable {
  let name: String
  let dtype: ElementType
  let shape: [Int]
  let file: String
  let fileSHA256: String
  let every: Int

  enum CodingKeys: String, CodingKey {
    case name, dtype, shape, file, every
    case fileSHA256 = "file_sha256"
  }
}
