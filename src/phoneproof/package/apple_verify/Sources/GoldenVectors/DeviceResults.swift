import Foundation

/// A `phoneproof.device-results/1` document: what one device measured of one artifact.
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
  public let accelerators: [Accelerator]

  /// The document's bytes: sorted keys, so that equal results are equal files.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }

  /// Whether every accelerator that the device has gave what was recorded, by this kit's own
  /// reckoning. `phoneproof verify --results` has the last word.
  ///
  /// - Parameter decibels: the least signal-to-noise ratio; nil where any numbers will do.
  public func looksRight(atLeast decibels: Double?) -> Bool {
    let ran = accelerators.filter { $0.state == .ran }
    guard !ran.isEmpty, accelerators.allSatisfy({ $0.state != .failed }) else { return false }
    let outputs = ran.flatMap(\.vectors).flatMap(\.outputs)
    // No distance: a value is not finite where the recorded one is, or the other way round.
    guard !outputs.isEmpty, outputs.allSatisfy({ $0.maxAbs != nil }) else { return false }
    guard let decibels else { return true }
    return outputs.allSatisfy { $0.maxAbs == 0 || ($0.snrDb ?? -.infinity) >= decibels }
  }
}

/// The program that wrote the document.
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

  public init(model: String, name: String, os: String, osVersion: String, chip: String) {
    self.model = model
    self.name = name
    self.os = os
    self.osVersion = osVersion
    self.chip = chip
  }
}

/// One way to run the model on the device.
public struct Accelerator: Encodable, Sendable {
  public enum State: String, Encodable, Sendable { case ran, unavailable, failed }

  public let kind: UnitKind
  public let name: String
  public let state: State
  public var reason = ""
  public var vectors: [RecordedVector] = []
  public var placed: [Placement] = []
  public var loadMs: Double?
  public var latency: Latency?
  public var sustained: Sustained?
  public var thermal = Thermal.unknown
}

public enum UnitKind: String, Encodable, Sendable { case cpu, gpu, npu, any, unknown }

public enum Thermal: String, Encodable, Sendable { case nominal, fair, serious, critical, unknown }

/// How many operators the engine planned for one kind of unit.
public struct Placement: Encodable, Sendable {
  public let kind: UnitKind
  public let operators: Int

  public init(kind: UnitKind, operators: Int) {
    self.kind = kind
    self.operators = operators
  }

  /// A pair, as in all of the project's documents.
  public func encode(to encoder: Encoder) throws {
    var pair = encoder.unkeyedContainer()
    try pair.encode(kind)
    try pair.encode(operators)
  }
}

public struct RecordedVector: Encodable, Sendable {
  public let `case`: String
  public let inputSha256: String?
  public let outputs: [RecordedOutput]
}

public struct RecordedOutput: Encodable, Sendable {
  public let name: String
  public let dtype: ElementType
  public let every: Int
  /// Base64 of the little-endian elements.
  public let values: String
  public let maxAbs: Double?
  public let snrDb: Double?
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
  public let thermal: Thermal
}
