import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

final class AccelerationTests: XCTestCase {
  private let clock = FakeClock()

  private func factory(
    _ behaviours: (Accelerator, Behaviour, Double)...
  ) -> FakeFactory {
    FakeFactory(
      behaviours: behaviours.map { (accelerator: $0.0, behaviour: $0.1, milliseconds: $0.2) },
      clock: clock)
  }

  func testTheFastestRightOneIsChosen() throws {
    let model = try FakeModel().open(
      factory((.npu, .right, 2), (.gpu, .right, 5), (.cpu, .right, 9)))
    XCTAssertEqual(model.acceleratorInUse, .npu)
    XCTAssertEqual(model.whyNot.map(\.state), [.slower, .slower])
    XCTAssertEqual(model.whyNot[1].reason, "9.0 ms an inference, NPU takes 2.0")
    XCTAssertEqual(try model.classify(ramp).map(\.classIndex), [2, 0])
  }

  func testWhatBreaksIsNotChosenAndSaysWhy() throws {
    let cases: [(Behaviour, TrialState, String)] = [
      (.throwsOnLoad, .failed, "FakeFailure"), (.throwsOnRun, .failed, "FakeFailure"),
      (.garbage, .wrong, "dB from the golden values"), (.notANumber, .wrong, "no numbers"),
      (.hangsOnLoad, .hung, "loading took longer"), (.hangsOnRun, .hung, "inference took longer"),
      (.lies, .wrong, "none of the operators (9 on the cpu)"),
    ]
    for (behaviour, state, reason) in cases {
      let model = try FakeModel().open(factory((.npu, behaviour, 1), (.cpu, .right, 9)))
      XCTAssertEqual(model.acceleratorInUse, .cpu, "\(behaviour)")
      XCTAssertEqual(model.whyNot.map(\.state), [state], "\(behaviour)")
      XCTAssertTrue(model.whyNot[0].reason.contains(reason), model.whyNot[0].reason)
      XCTAssertEqual(try model.classify(ramp).count, 2)
    }
  }

  func testNothingRightIsAnErrorThatNamesAllReasons() throws {
    XCTAssertThrowsError(
      try FakeModel().open(factory((.npu, .garbage, 1), (.cpu, .throwsOnLoad, 1)))
    ) { error in
      guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
      XCTAssertTrue(problem.found.contains("NPU: output scores"), problem.found)
      XCTAssertTrue(problem.found.contains("CPU: FakeFailure"), problem.found)
    }
  }

  func testWithoutGoldenVectorsOnlyTheCPUIsUsed() throws {
    let model = try FakeModel().open(
      factory((.npu, .right, 1), (.cpu, .right, 9)), checked: false)
    XCTAssertEqual(model.acceleratorInUse, .cpu)
    XCTAssertEqual(model.whyNot.map(\.state), [.untried])
  }

  func testOneThatBreaksInUseGivesWayToTheNext() throws {
    // One run to check it and six to time it; then one to check what is taken into use.
    let model = try FakeModel().open(factory((.gpu, .breaksAfter(8), 1), (.cpu, .right, 9)))
    XCTAssertEqual(model.acceleratorInUse, .gpu)
    for _ in 0..<12 { XCTAssertEqual(try model.classify(ramp).map(\.classIndex), [2, 0]) }
    XCTAssertEqual(model.acceleratorInUse, .cpu)
    XCTAssertEqual(model.whyNot.map(\.state), [.failed])
    XCTAssertTrue(model.whyNot[0].reason.hasPrefix("in use: "))
  }

  func testWhereNothingIsLeftEveryCallSaysWhy() throws {
    let model = try FakeModel().open(factory((.cpu, .breaksAfter(8), 9)))
    var reasons: [String] = []
    for _ in 0..<12 {
      do {
        _ = try model.classify(ramp)
        XCTAssertEqual(reasons, [])
      } catch PhoneproofError.engine(let problem) {
        reasons.append(problem.found)
      }
    }
    XCTAssertGreaterThan(reasons.count, 1)
    XCTAssertTrue(reasons.allSatisfy { $0.contains("in use: ") }, "\(reasons)")
    XCTAssertNil(model.acceleratorInUse)
  }

  func testAChoiceIsRememberedAndCheckedAgain() throws {
    let (store, fake) = (MemoryStore(), try FakeModel())
    _ = try fake.open(factory((.npu, .right, 1), (.cpu, .right, 9)), store: store)
    let second = factory((.npu, .right, 1), (.cpu, .right, 9))
    XCTAssertEqual(try fake.open(second, store: store).acceleratorInUse, .npu)
    XCTAssertEqual(second.log.all.filter { $0.hasPrefix("open") }, ["open NPU"])
    let third = factory((.npu, .garbage, 1), (.cpu, .right, 9))
    let model = try fake.open(third, store: store)
    XCTAssertEqual(model.acceleratorInUse, .cpu)
    XCTAssertEqual(model.whyNot.map(\.state), [.wrong])
  }

  func testOneThatTookTheAppWithItIsNotTriedAgain() throws {
    let (store, fake) = (MemoryStore(), try FakeModel())
    let fresh = factory((.npu, .right, 1), (.cpu, .right, 9))
    let key = SelectionKey.text(fake.file, fresh)
    store.write(Remembered(pending: Accelerator.npu.id).text, key)
    for _ in 0..<2 {
      let model = try fake.open(fresh, store: store)
      XCTAssertEqual(model.acceleratorInUse, .cpu)
      XCTAssertEqual(model.whyNot.map(\.state), [.crashed])
    }
    XCTAssertFalse(fresh.log.all.contains("open NPU"))
  }

  func testADamagedStoreIsNoStore() throws {
    let (store, fake) = (MemoryStore(), try FakeModel())
    let fresh = factory((.npu, .right, 1), (.cpu, .right, 9))
    for text in ["", "phoneproof.accelerators/1\nchosen", "\u{0}\t\t\t\n"] {
      store.write(text, SelectionKey.text(fake.file, fresh))
      XCTAssertEqual(try fake.open(fresh, store: store).acceleratorInUse, .npu)
    }
  }

  func testUnavailableOnesAreNamed() throws {
    var some = factory((.cpu, .right, 9))
    some.missing = [(accelerator: .npu, reason: "no Neural Engine on this device")]
    let model = try FakeModel().open(some)
    XCTAssertEqual(model.whyNot, [Trial(.npu, .unavailable, "no Neural Engine on this device")])
  }
}
