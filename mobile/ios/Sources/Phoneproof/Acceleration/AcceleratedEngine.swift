import PhoneproofCore

/// The fastest accelerator of a device that computes the model rightly, and the way back to the
/// CPU. Accelerators are loaded one at a time, with a time limit, checked on the golden inputs and
/// timed; what was found is remembered. One that throws or hangs later is given up, and the fastest
/// of the remaining right ones takes over. Without golden vectors only the CPU is used: nothing
/// could tell that another one is right. One caller at a time.
final class AcceleratedEngine {
  private let search: AcceleratorSearch
  private var current: GuardedEngine?
  private(set) var trials: [Trial]

  init(_ search: AcceleratorSearch) throws {
    self.search = search
    let found = try search.choose()
    current = found.engine
    trials = found.trials
  }

  var acceleratorInUse: Accelerator? { current?.accelerator }

  /// All others, with the reason against each.
  var whyNot: [Trial] {
    let missing = search.factory.unavailable.map { Trial($0.accelerator, .unavailable, $0.reason) }
    return trials.filter { $0.state != .chosen } + missing
  }

  /// Runs the model; where the accelerator breaks, the next right one does.
  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
    while let engine = current {
      do {
        return try engine.run(input)
      } catch let failure as AcceleratorFailure {
        engine.close()
        current = nil
        let left = trials.map {
          $0.accelerator == engine.accelerator
            ? Trial($0.accelerator, failure.state, "in use: \(failure.reason)") : $0
        }
        trials = left
        let next = try search.reopen(left)
        current = next.engine
        trials = next.trials
      }
    }
    throw PhoneproofError.closed(
      .init("the model is closed", nextStep: "open it again, or close it after its last use"))
  }

  func close() {
    current?.close()
    current = nil
  }
}
