import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

final class VisionModelTests: XCTestCase {
  private func model() throws -> VisionModel {
    let one = (accelerator: Accelerator.cpu, behaviour: Behaviour.right, milliseconds: 1.0)
    return try FakeModel().open(FakeFactory(behaviours: [one], clock: FakeClock()))
  }

  func testUseAfterCloseIsATypedError() throws {
    let model = try model()
    model.close()
    model.close()
    XCTAssertThrowsError(try model.classify(ramp)) { error in
      guard case PhoneproofError.closed(let problem) = error else { return XCTFail("\(error)") }
      XCTAssertFalse(problem.nextStep.isEmpty)
    }
    XCTAssertNil(model.acceleratorInUse)
  }

  func testAnotherTaskIsATypedError() throws {
    XCTAssertThrowsError(try model().detect(ramp)) { error in
      guard case PhoneproofError.unsupported = error else { return XCTFail("\(error)") }
    }
  }

  func testAsynchronousCallsAndThreadsAreServedOneAfterTheOther() async throws {
    let model = try model()
    let results = try await withThrowingTaskGroup(of: [Int].self) { group in
      for _ in 0..<16 {
        group.addTask {
          try await model.asynchronously { try $0.classify(ramp).map(\.classIndex) }
        }
        group.addTask { try model.classify(ramp).map(\.classIndex) }
      }
      return try await group.reduce(into: [[Int]]()) { $0.append($1) }
    }
    XCTAssertEqual(results, Array(repeating: [2, 0], count: 32))
  }

  func testWhatComputesIsToldWhileAPictureIsServed() throws {
    let model = try model()
    let (inside, go, answered, done) = (
      DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0),
      DispatchSemaphore(value: 0)
    )
    DispatchQueue.global().async {
      _ = try? model.classify {
        inside.signal()
        go.wait()
        try ramp($0)
      }
      done.signal()
    }
    inside.wait()
    DispatchQueue.global().async {
      if model.acceleratorInUse == .cpu, model.whyNot.isEmpty { answered.signal() }
    }
    XCTAssertEqual(answered.wait(timeout: .now() + 20), .success)
    go.signal()
    done.wait()
  }

  func testTheDumpIsTheTensor() throws {
    XCTAssertEqual(try model().pixelDump(ramp), Data((0..<48).map { UInt8($0 * 5) }))
  }

  func testAnAlteredOrMissingModelFileIsRefused() throws {
    let fake = try FakeModel()
    XCTAssertNoThrow(try ModelFile(fake.file.url, sha256: fake.file.sha256))
    try Data("another model".utf8).write(to: fake.file.url)
    let wrong: [(URL, String?)] = [
      (fake.file.url, fake.file.sha256), (fake.file.url.appendingPathComponent("no"), nil),
    ]
    for (url, sha256) in wrong {
      XCTAssertThrowsError(try ModelFile(url, sha256: sha256)) { error in
        guard case PhoneproofError.modelFile(let problem) = error else {
          return XCTFail("\(error)")
        }
        XCTAssertFalse(problem.nextStep.isEmpty)
      }
    }
  }

  func testAFolderIsHashedAsTheBundleHashesIt() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(
      at: root.appendingPathComponent("a/b"), withIntermediateDirectories: true)
    try Data("1".utf8).write(to: root.appendingPathComponent("a/b/c"))
    try Data("2".utf8).write(to: root.appendingPathComponent("a-b"))
    // Python: tree_sha256 of the same folder.
    XCTAssertEqual(
      try TreeHash.hexDigest(of: root),
      "57093dde0200c3f5a8c896f39982b0d334d91e212461f63a053c9e705e6fa0da")
  }

  func testABindingOfAnotherContractIsRefused() throws {
    let fake = try FakeModel()
    let other = try Binding(json: FakeModel.bindingText(contract: "00").utf8)
    XCTAssertThrowsError(try other.require(fake.contract))
    XCTAssertNoThrow(try fake.binding.require(fake.contract))
  }
}
