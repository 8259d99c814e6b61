import Foundation
import PhoneproofCore

/// How long to measure.
public struct SelfTestEffort: Sendable {
  public var warmUp = 5
  public var runs = 50
  /// Seconds of running without a pause; 0 leaves it out.
  public var sustainedSeconds = 0.0

  public init() {}
}

/// Runs the golden vectors on every accelerator of the device and measures it.
public struct SelfTest {
  public static let version = "1"

  private let contract: Contract
  private let decoder: Decoder
  private let model: ModelFile
  private let vectors: GoldenVectors
  private let factory: any EngineFactory
  private let byteCount: Int
  private let device: DeviceFacts
  private let thermal: any ThermalSource
  private let clock: any MonotonicClock
  private let limits: TrialLimits
  private let effort: SelfTestEffort

  /// - Parameter byteCount: of the input tensor (`PixelPipeline.byteCount`).
  public init(
    _ contract: Contract, _ binding: Binding, model: ModelFile, vectors: GoldenVectors,
    factory: any EngineFactory, byteCount: Int, device: DeviceFacts, thermal: any ThermalSource,
    clock: any MonotonicClock = SystemClock(), limits: TrialLimits = TrialLimits(),
    effort: SelfTestEffort = SelfTestEffort()
  ) throws {
    self.contract = contract
    decoder = try Decoder(contract, binding)
    self.model = model
    self.vectors = vectors
    self.factory = factory
    self.byteCount = byteCount
    self.device = device
    self.thermal = thermal
    self.clock = clock
    self.limits = limits
    self.effort = effort
  }

  /// Takes seconds to minutes; never throws for what an accelerator does: that is in the results.
  ///
  /// - Parameter report: told of each accelerator before it is measured.
  public func run(report: (Accelerator) -> Void = { _ in }) -> DeviceResults {
    var measured = factory.candidates.map { accelerator -> MeasuredAccelerator in
      report(accelerator)
      return measure(accelerator)
    }
    measured += factory.unavailable.map {
      MeasuredAccelerator($0.accelerator, .unavailable, oneLine($0.reason))
    }
    return DeviceResults(
      created: ISO8601DateFormatter().string(from: Date()),
      madeBy: MadeBy(name: "phoneproof-ios", version: Self.version), device: device,
      contract: contract.sha256, golden: vectors.sha256, artifact: model.sha256,
      engine: factory.name, engineVersion: factory.version, accelerators: measured)
  }

  private func measure(_ accelerator: Accelerator) -> MeasuredAccelerator {
    do {
      let start = clock.now
      let engine = try GuardedEngine(factory, model, on: accelerator, byteCount: byteCount, limits)
      defer { engine.close() }
      var one = MeasuredAccelerator(accelerator, .ran)
      one.loadMs = milliseconds(start, clock.now)
      one.placed = engine.placements.map(PlacedOperators.init)
      var firstMs = 0.0
      for (index, golden) in vectors.cases.enumerated() {
        let start = clock.now
        let outputs = try golden.input.input.withUnsafeBytes { try engine.run($0) }
        if index == 0 { firstMs = milliseconds(start, clock.now) }
        one.vectors.append(try recorded(golden, outputs))
      }
      if let input = vectors.cases.first?.input.input {
        one.latency = try latency(engine, input, firstMs)
        one.sustained = try sustained(engine, input)
      }
      one.thermal = thermal.status
      return one
    } catch let failure as AcceleratorFailure {
      return MeasuredAccelerator(accelerator, .failed, failure.reason)
    } catch {
      return MeasuredAccelerator(accelerator, .failed, oneLine("\(error)"))
    }
  }

  private func recorded(_ golden: GoldenCase, _ outputs: [OutputTensor]) throws -> RecordedVector {
    let tensors = try golden.input.outputs.map { expected -> RecordedOutput in
      guard let output = outputs.first(where: { $0.name == expected.name }),
        let values = expected.sampled(output)
      else {
        throw AcceleratorFailure(
          state: .failed, reason: "it gives no output \(expected.name) of the recorded kind")
      }
      let distance = Distance(of: values, from: expected.values, expected.type)
      return RecordedOutput(
        name: expected.name, dtype: expected.type.rawValue, every: expected.every,
        values: values.base64EncodedString(), maxAbs: distance.maxAbs,
        snrDb: distance.decibels.flatMap { $0.isFinite ? $0 : nil })
    }
    let hash = golden.input.input.withUnsafeBytes { SHA256.hexDigest(of: $0) }
    var vector = RecordedVector(case: golden.id, inputSha256: hash, outputs: tensors)
    switch try decoder.decode(outputs, plan: golden.plan) {
    case .classes(let classes):
      vector.classes = classes.prefix(5).map {
        RecordedClass(label: $0.classIndex, probability: Double($0.probability))
      }
    case .detections(let detections):
      vector.boxes = detections.map {
        RecordedBox(
          box: [$0.box.x1, $0.box.y1, $0.box.x2, $0.box.y2].map { Double($0) },
          score: Double($0.score), label: $0.classIndex)
      }
    case .raw: break
    }
    return vector
  }

  private func latency(_ engine: GuardedEngine, _ input: Data, _ firstMs: Double) throws -> Latency?
  {
    for _ in 0..<effort.warmUp { _ = try timed(engine, input) }
    let times = try (0..<max(1, effort.runs)).map { _ in try timed(engine, input) }
    return Statistics(times).map {
      Latency(
        n: $0.count, warmUp: effort.warmUp, firstMs: firstMs, p50Ms: $0.median, p95Ms: $0.p95)
    }
  }

  private func sustained(_ engine: GuardedEngine, _ input: Data) throws -> Sustained? {
    guard effort.sustainedSeconds > 0 else { return nil }
    let start = clock.now
    var times: [Double] = []
    repeat {
      times.append(try timed(engine, input))
    } while milliseconds(start, clock.now) < effort.sustainedSeconds * 1000
    let tenth = max(1, times.count / 10)
    return Sustained(
      seconds: milliseconds(start, clock.now) / 1000, n: times.count,
      firstP50Ms: median(Array(times.prefix(tenth))), lastP50Ms: median(Array(times.suffix(tenth))),
      thermal: thermal.status)
  }

  private func timed(_ engine: GuardedEngine, _ input: Data) throws -> Double {
    let start = clock.now
    _ = try input.withUnsafeBytes { try engine.run($0) }
    return milliseconds(start, clock.now)
  }
}
