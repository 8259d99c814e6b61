import Dispatch
import PhoneproofCore

/// An engine on a queue of its own, every call of which has a time limit. One that hangs is left
/// alone with the memory it was given: nobody can stop it, and nobody waits for it.
final class GuardedEngine {
  /// What the queue and its caller share; the caller looks only after the queue is done.
  private final class Work: @unchecked Sendable {
    var engine: (any Engine)?
    let input: UnsafeMutableRawBufferPointer
    var outputs: [OutputTensor] = []
    var error: (any Error)?

    init(byteCount: Int) {
      input = .allocate(byteCount: max(1, byteCount), alignment: 64)
    }

    deinit { input.deallocate() }
  }

  private let queue: DispatchQueue
  private let work: Work
  private let limits: TrialLimits
  private let byteCount: Int
  private var isLost = false

  let accelerator: Accelerator
  let placements: [Placement]

  /// - Parameter byteCount: of the input tensor.
  /// - Throws: `AcceleratorFailure` where loading threw or hung.
  init(
    _ factory: any EngineFactory, _ model: ModelFile, on accelerator: Accelerator,
    byteCount: Int, _ limits: TrialLimits
  ) throws {
    self.limits = limits
    self.byteCount = byteCount
    self.accelerator = accelerator
    queue = DispatchQueue(label: "phoneproof \(accelerator.title)")
    let work = Work(byteCount: byteCount)
    self.work = work
    let isDone = Self.perform(on: queue, within: limits.loadSeconds) {
      do {
        work.engine = try factory.open(model, on: accelerator)
      } catch {
        work.error = error
      }
    }
    guard isDone else { throw Self.hung("loading", limits.loadSeconds) }
    if let error = work.error { throw Self.failed(error) }
    placements = work.engine?.placements ?? []
  }

  /// - Throws: `AcceleratorFailure` where the engine threw or hung.
  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
    guard !isLost else { throw Self.hung("an inference", limits.runSeconds) }
    work.input.copyMemory(from: UnsafeRawBufferPointer(rebasing: input.prefix(byteCount)))
    work.error = nil
    let (work, byteCount) = (self.work, self.byteCount)
    let isDone = Self.perform(on: queue, within: limits.runSeconds) {
      do {
        let input = UnsafeRawBufferPointer(start: work.input.baseAddress, count: byteCount)
        work.outputs = try work.engine?.run(input) ?? []
      } catch {
        work.error = error
      }
    }
    guard isDone else {
      isLost = true
      throw Self.hung("an inference", limits.runSeconds)
    }
    if let error = work.error { throw Self.failed(error) }
    return work.outputs
  }

  /// Closes the engine on its queue; one that hangs is left alone.
  func close() {
    guard !isLost else { return }
    isLost = true
    let work = self.work
    _ = Self.perform(on: queue, within: limits.runSeconds) { work.engine?.close() }
  }

  deinit { close() }

  private static func perform(
    on queue: DispatchQueue, within seconds: Double, _ body: @escaping @Sendable () -> Void
  ) -> Bool {
    let done = DispatchSemaphore(value: 0)
    queue.async {
      body()
      done.signal()
    }
    return done.wait(timeout: .now() + seconds) == .success
  }

  private static func failed(_ error: any Error) -> AcceleratorFailure {
    AcceleratorFailure(state: .failed, reason: oneLine("\(error)"))
  }

  private static func hung(_ what: String, _ seconds: Double) -> AcceleratorFailure {
    AcceleratorFailure(state: .hung, reason: "\(what) took longer than \(seconds) s")
  }
}
