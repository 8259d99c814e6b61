import PhoneproofCore

/// The fastest accelerator of a device that computes the model rightly, and the way back to the
/// CPU. Accelerators are loaded one at a time, with a time limit, checked on the golden inputs and
/// timed; what was found is remembered. One that throws or hangs later is given up, and the fastest
/// of the remaining right ones takes over. Without golden vectors only the CPU is used: nothing
/// could tell that another one is right. One caller at a time runs it; what computes may be asked
/// meanwhile.
final class AcceleratedEngine {
  private let search: AcceleratorSearch
  private let lock = Lock()
  private var current: GuardedEngine?
  private var tried: [Trial]
  /// Why nothing serves any more.
  private var lost: (any Error)?

  init(_ search: AcceleratorSearch) throws {
    self.search = search
    (current, tried) = try search.choose()
  }

  var acceleratorInUse: Accelerator? { lock.held { current?.accelerator } }

  var trials: [Trial] { lock.held { tried } }

  /// All others, with the reason against each.
  var whyNot: [Trial] {
    let missing = search.factory.unavailable.map { Trial($0.accelerator, .unavailable, $0.reason) }
    return trials.filter { $0.state != .chosen } + missing
  }

  /// Runs the model; where the accelerator breaks, the next right one does.
  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
    while let engine = lock.held({ current }) {
      do {
        return try engine.run(input)
      } catch let failure as AcceleratorFailure {
        engine.close()
        try replace(engine.accelerator, failure)
      }
    }
    if let lost = lock.held({ lost }) { throw lost }
    throw PhoneproofError.closed(
      .init("the model is closed", nextStep: "open it again, or close it after its last use"))
  }

  func close() {
    let last = lock.held {
      defer { current = nil }
      return current
    }
    last?.close()
  }

  private func replace(_ broken: Accelerator, _ failure: AcceleratorFailure) throws {
    let left = trials.map {
      $0.accelerator == broken
        ? Trial($0.accelerator, failure.state, "in use: \(failure.reason)") : $0
    }
    lock.held { (current, tried) = (nil, left) }
    do {
      let next = try search.reopen(left)
      lock.held { (current, tried) = (next.engine, next.trials) }
    } catch {
      lock.held { lost = error }
      throw error
    }
  }
}
