import Foundation

/// A `phoneproof.device-results/1` document: what one device measured of one artifact. It claims
/// nothing that is believed: `phoneproof verify --results` judges by the values in it.
public struct DeviceResults: Encodable, Sendable {
  public let schema = "phoneproof.device-results/1"
  public let created: String
  public let madeBy: MadeBy
  public let device: DeviceFacts
  public let contract: String
  public let golden: String
  public let artifact: String
  public let engine: String
  public let engineVersion: String
  public let accelerators: [MeasuredAccelerator]

  /// The document's bytes: sorted keys, so that equal results are equal files.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}

/// The program that wrote a document.
public struct MadeBy: Encodable, Sendable {
  public let name: String
  public let version: String
}

public struct DeviceFacts: Encodable, Sendable {
  public let model: String
  public let name: String
  public let os: String
  public let osVersion: String
  public let chip: String

  public init(
    model: String, name: String = "", os: String, osVersion: String, chip: String = ""
  ) {
    self.model = model
    self.name = name
    self.os = os
    self.osVersion = osVersion
    self.chip = chip
  }
}

/// One way to run the model on the device.
public struct MeasuredAccelerator: Encodable, Sendable {
  public enum State: String, Encodable, Sendable { case ran, unavailable, failed }

  public let kind: AcceleratorKind
  public let name: String
  public var threads: Int?
  public let state: State
  public var reason = ""
  public var vectors: [RecordedVector] = []
  public var placed: [PlacedOperators] = []
  public var loadMs: Double?
  public var latency: Latency?
  public var sustained: Sustained?
  public var thermal = ThermalStatus.unknown

  init(_ accelerator: Accelerator, _ state: State, _ reason: String = "") {
    kind = accelerator.kind
    name = accelerator.name
    threads = accelerator.threads
    self.state = state
    self.reason = reason
  }
}

/// A pair, as in all of the project's documents.
public struct PlacedOperators: Encodable, Sendable {
  let placement: Placement

  public func encode(to encoder: any Encoder) throws {
    var pair = encoder.unkeyedContainer()
    try pair.encode(placement.kind == .any ? "unknown" : placement.kind.rawValue)
    try pair.encode(placement.operators)
  }
}

public struct RecordedVector: Encodable, Sendable {
  public let `case`: String
  /// Of the input tensor; nil where the engine took a picture.
  public let inputSha256: String?
  public let outputs: [RecordedOutput]
  public var classes: [RecordedClass]?
  public var boxes: [RecordedBox]?
}

public struct RecordedOutput: Encodable, Sendable {
  public let name: String
  public let dtype: String
  public let every: Int
  /// Base64 of the little-endian elements.
  public let values: String
  public let maxAbs: Double?
  public let snrDb: Double?
}

public struct RecordedClass: Encodable, Sendable {
  public let label: Int
  public let probability: Double
}

public struct RecordedBox: Encodable, Sendable {
  public let box: [Double]
  public let score: Double
  public let label: Int
}

/// Milliseconds of one inference.
public struct Latency: Encodable, Sendable {
  public let n: Int
  public let warmUp: Int
  public let firstMs: Double
  public let p50Ms: Double
  public let p95Ms: Double
}

/// One inference after the other: medians of the first and of the last tenth.
public struct Sustained: Encodable, Sendable {
  public let seconds: Double
  public let n: Int
  public let firstP50Ms: Double
  public let lastP50Ms: Double
  public let thermal: ThermalStatus
}
