import Dispatch
import Foundation
import PhoneproofCore

/// Loads models: Core ML, Core AI.
public protocol Engine: Sendable {
  var name: String { get }
  var version: String { get }
  /// The units to try, and those that the device lacks with the reason.
  var units: [(unit: Accelerator, missing: String?)] { get }

  func load(_ url: URL, on unit: Accelerator) async throws -> LoadedModel
}

/// A model that is ready to run.
public protocol LoadedModel {
  /// Whether it takes pictures, so that no tensor is fed.
  var takesPictures: Bool { get }

  /// How many operators are planned for which unit; empty where the engine does not say.
  func placements() async -> [Placement]

  /// The outputs by name.
  func run(_ input: Input) async throws -> [String: Tensor]
}

/// How long to measure.
public struct Effort: Sendable {
  public var warmUp = 5
  public var runs = 50
  /// Seconds after which no further run is timed, once there are `leastRuns`.
  public var budget = 20.0
  public var leastRuns = 5
  /// Seconds of running without a pause; 0 leaves it out.
  public var sustained = 0.0

  public init() {}
}

/// Runs the golden vectors of one artifact on every unit of an engine.
public struct Verifier {
  public static let version = "1"

  let payload: Payload
  let device: DeviceFacts
  let effort: Effort
  let thermal: () -> ThermalStatus
  let report: (String) -> Void

  public init(
    payload: Payload, device: DeviceFacts, effort: Effort = Effort(),
    thermal: @escaping () -> ThermalStatus, report: @escaping (String) -> Void = { _ in }
  ) {
    self.payload = payload
    self.device = device
    self.effort = effort
    self.thermal = thermal
    self.report = report
  }

  /// - Throws: `VerifyError` where the model on the device is not the kit's.
  public func results(of artifact: KitArtifact, with engine: Engine) async throws -> DeviceResults {
    let url = try payload.model(artifact)
    guard let found = try? TreeHash.hexDigest(of: url) else {
      throw VerifyError("\(artifact.path) is missing")
    }
    guard found == artifact.sha256 else {
      throw VerifyError("\(artifact.path) is not \(artifact.id): its hash is \(found)")
    }
    let vectors = try payload.vectors(of: artifact)
    let hashes = vectors.map { SHA256.hexDigest(of: $0.input.tensor.bytes) }
    let hashed = Array(zip(vectors, hashes))
    var accelerators: [MeasuredAccelerator] = []
    for (unit, missing) in engine.units {
      if let missing {
        accelerators.append(MeasuredAccelerator(unit, .unavailable, missing))
      } else {
        accelerators.append(await measured(url, hashed, engine, unit))
      }
      report("\(artifact.id) on \(unit.name): \(summary(of: accelerators[accelerators.count - 1]))")
    }
    return DeviceResults(
      created: ISO8601DateFormatter().string(from: Date()),
      madeBy: MadeBy(name: "phoneproof-verify", version: Self.version),
      device: device,
      contract: payload.kit.contract,
      golden: payload.goldenSHA256,
      artifact: found,
      engine: engine.name,
      engineVersion: engine.version,
      accelerators: accelerators)
  }

  private func measured(
    _ url: URL, _ vectors: [(Vector, String)], _ engine: Engine, _ unit: Accelerator
  ) async -> MeasuredAccelerator {
    do {
      let start = now()
      let model = try await engine.load(url, on: unit)
      var one = MeasuredAccelerator(unit, .ran)
      one.loadMs = now() - start
      one.placed = await model.placements().map(PlacedOperators.init)
      var first: Double?
      for (vector, hash) in vectors {
        let start = now()
        let outputs = try await model.run(vector.input)
        if first == nil { first = now() - start }
        one.vectors.append(try recorded(vector, outputs, fed: model.takesPictures ? nil : hash))
      }
      if let (vector, _) = vectors.first, let first {
        one.latency = try await latency(model, vector.input, first: first)
        one.sustained = try await sustained(model, vector.input)
      }
      one.thermal = thermal()
      return one
    } catch {
      return MeasuredAccelerator(unit, .failed, oneLine("\(error)"))
    }
  }

  private func recorded(
    _ vector: Vector, _ outputs: [String: Tensor], fed hash: String?
  ) throws -> RecordedVector {
    RecordedVector(
      case: vector.id,
      inputSha256: hash,
      outputs: try vector.outputs.map { expected in
        guard let output = outputs[expected.name] else {
          throw VerifyError("the model gives no output \(expected.name)")
        }
        guard output.count == expected.shape.reduce(1, *) else {
          throw VerifyError("\(expected.name) has shape \(output.shape), not \(expected.shape)")
        }
        let values = try output.converted(to: expected.type).sampled(every: expected.every)
        let distance = Distance(of: values, from: expected.values, type: expected.type)
        return RecordedOutput(
          name: expected.name, dtype: expected.type.rawValue, every: expected.every,
          values: values.base64EncodedString(), maxAbs: distance.maxAbs, snrDb: distance.snr)
      })
  }

  private func latency(
    _ model: LoadedModel, _ input: Input, first: Double
  ) async throws -> Latency? {
    for _ in 0..<effort.warmUp { _ = try await model.run(input) }
    let deadline = now() + effort.budget * 1000
    var times: [Double] = []
    while times.count < effort.runs, times.count < effort.leastRuns || now() < deadline {
      times.append(try await timed(model, input))
    }
    return Statistics(times).map {
      Latency(
        n: $0.count, warmUp: effort.warmUp, firstMs: first, p50Ms: $0.median, p95Ms: $0.p95)
    }
  }

  private func sustained(_ model: LoadedModel, _ input: Input) async throws -> Sustained? {
    guard effort.sustained > 0 else { return nil }
    let start = now()
    var times: [Double] = []
    while now() - start < effort.sustained * 1000 { times.append(try await timed(model, input)) }
    let tenth = max(1, times.count / 10)
    guard let first = Statistics(Array(times.prefix(tenth))),
      let last = Statistics(Array(times.suffix(tenth)))
    else { return nil }
    return Sustained(
      seconds: (now() - start) / 1000, n: times.count, firstP50Ms: first.median,
      lastP50Ms: last.median, thermal: thermal())
  }

  private func timed(_ model: LoadedModel, _ input: Input) async throws -> Double {
    let start = now()
    _ = try await model.run(input)
    return now() - start
  }

  private func summary(of one: MeasuredAccelerator) -> String {
    guard one.state == .ran else { return "\(one.state.rawValue) (\(one.reason))" }
    let noise = one.vectors.flatMap(\.outputs).compactMap(\.snrDb).min()
    let decibels = noise.map { "\(Int($0)) dB" } ?? "equal"
    let time = one.latency.map { String(format: ", %.2f ms", $0.p50Ms) } ?? ""
    return "\(one.vectors.count) vectors, \(decibels)\(time)"
  }
}

/// Milliseconds of a clock that only goes forward.
private func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e6 }
