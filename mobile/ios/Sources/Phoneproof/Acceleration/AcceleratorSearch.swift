import Foundation
import PhoneproofCore

/// Tries the accelerators of one model.
struct AcceleratorSearch {
  let factory: any EngineFactory
  let model: ModelFile
  /// Of the input tensor.
  let byteCount: Int
  let check: GoldenCheck?
  let store: any SelectionStore
  let key: String
  let limits: TrialLimits
  let clock: any MonotonicClock

  /// The remembered accelerator where it still is right, else the fastest right one of all.
  func choose() throws -> (engine: GuardedEngine, trials: [Trial]) {
    let candidates = factory.candidates
    let remembered = Remembered(store.read(key), candidates: candidates)
    let known = remembered.trials.filter { $0.accelerator.id != remembered.pending }
    if remembered.pending == nil, known.contains(where: \.isRight) {
      let missing = candidates.filter { one in !known.contains { $0.accelerator == one } }
      return try reopen(known + missing.map { untried($0, "it was not there before") })
    }
    var crashed = known.filter { $0.state == .crashed }
    if let one = candidates.first(where: { $0.id == remembered.pending }) {
      crashed.append(Trial(one, .crashed, "the app ended while it was tried"))
    }
    return try reopen(tryAll(crashed))
  }

  /// Opens the fastest right one of `trials`, and the next one where that fails now.
  func reopen(_ trials: [Trial]) throws -> (engine: GuardedEngine, trials: [Trial]) {
    var left = trials
    while let best = left.filter(\.isRight).min(by: Self.isFaster) {
      do {
        let engine = try opened(best.accelerator, left)
        left = named(left, best)
        remember(nil, left)
        return (engine, left)
      } catch let failure as AcceleratorFailure {
        left = left.map {
          $0.accelerator == best.accelerator
            ? Trial($0.accelerator, failure.state, failure.reason) : $0
        }
      }
    }
    remember(nil, left)
    let reasons = left.map { "\($0.accelerator.title): \($0.reason)" }
    throw PhoneproofError.engine(
      .init(
        "no accelerator of this device computes the model",
        found: reasons.joined(separator: "; "),
        nextStep: "check that the model file is whole and made for \(factory.name); where values "
          + "are wrong, run the self-test and keep its results"))
  }

  private static func isFaster(_ a: Trial, _ b: Trial) -> Bool {
    (a.medianMs ?? .infinity) < (b.medianMs ?? .infinity)
  }

  private func tryAll(_ crashed: [Trial]) -> [Trial] {
    var trials = crashed
    for candidate in factory.candidates
    where !crashed.contains(where: { $0.accelerator == candidate }) {
      let isChecked = check != nil || candidate.kind == .cpu
      trials.append(
        isChecked
          ? trial(candidate, trials) : untried(candidate, "no golden vectors to check it with"))
    }
    return trials
  }

  private func trial(_ candidate: Accelerator, _ sofar: [Trial]) -> Trial {
    do {
      let engine = try opened(candidate, sofar)
      defer { engine.close() }
      return Trial(candidate, .slower, medianMs: try medianTime(engine))
    } catch let failure as AcceleratorFailure {
      return Trial(candidate, failure.state, failure.reason)
    } catch {
      return Trial(candidate, .failed, oneLine("\(error)"))
    }
  }

  /// An engine that gave the golden values. While anything but the CPU is tried the store says so:
  /// a driver may end the app. The CPU is spared, since an app may also be ended by its user.
  private func opened(_ candidate: Accelerator, _ sofar: [Trial]) throws -> GuardedEngine {
    if candidate.kind != .cpu { remember(candidate.id, sofar) }
    let engine = try GuardedEngine(factory, model, on: candidate, byteCount: byteCount, limits)
    do {
      for golden in check?.inputs ?? [] {
        let outputs = try run(engine, golden.input)
        if let reason = check?.reason(against: golden, outputs) {
          throw AcceleratorFailure(state: .wrong, reason: reason)
        }
      }
      if let reason = Self.misplaced(engine) {
        throw AcceleratorFailure(state: .wrong, reason: reason)
      }
      return engine
    } catch {
      engine.close()
      throw error
    }
  }

  /// An engine that was asked for a unit and planned nothing for it is not that accelerator.
  static func misplaced(_ engine: GuardedEngine) -> String? {
    let (kind, placements) = (engine.accelerator.kind, engine.placements)
    guard kind == .gpu || kind == .npu, !placements.isEmpty else { return nil }
    let there = placements.filter { $0.kind == kind }.reduce(0) { $0 + $1.operators }
    guard there == 0 else { return nil }
    let all = placements.map { "\($0.operators) on the \($0.kind.rawValue)" }
    return "it takes none of the operators (\(all.joined(separator: ", ")))"
  }

  private func run(_ engine: GuardedEngine, _ input: Data) throws -> [OutputTensor] {
    guard input.count == byteCount else {
      throw AcceleratorFailure(state: .failed, reason: "a golden input of \(input.count) bytes")
    }
    return try input.withUnsafeBytes { try engine.run($0) }
  }

  private func medianTime(_ engine: GuardedEngine) throws -> Double {
    let input = check?.inputs.first?.input ?? Data(count: byteCount)
    for _ in 0..<limits.warmUpRuns { _ = try run(engine, input) }
    return median(
      try (0..<max(1, limits.timedRuns)).map { _ in
        let start = clock.now
        _ = try run(engine, input)
        return milliseconds(start, clock.now)
      })
  }

  private func named(_ trials: [Trial], _ best: Trial) -> [Trial] {
    trials.map { one in
      if one.accelerator == best.accelerator {
        return Trial(one.accelerator, .chosen, medianMs: one.medianMs)
      }
      guard one.isRight else { return one }
      let times = [one.medianMs, best.medianMs].map { oneDecimal($0 ?? .nan) }
      let reason = "\(times[0]) ms an inference, \(best.accelerator.title) takes \(times[1])"
      return Trial(one.accelerator, .slower, reason, medianMs: one.medianMs)
    }
  }

  private func untried(_ candidate: Accelerator, _ reason: String) -> Trial {
    Trial(candidate, .untried, reason)
  }

  private func remember(_ pending: String?, _ trials: [Trial]) {
    store.write(Remembered(pending: pending, trials: trials).text, key)
  }
}
