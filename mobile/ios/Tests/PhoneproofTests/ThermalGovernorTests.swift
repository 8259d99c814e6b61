import PhoneproofCore
import XCTest

@testable import Phoneproof

final class ThermalGovernorTests: XCTestCase {
  private final class Source: ThermalSource, @unchecked Sendable {
    var status = ThermalStatus.nominal
  }

  private let source = Source()
  private let second: UInt64 = 1_000_000_000

  /// Frames a second that are admitted of a camera with 30, from `start` on for ten seconds.
  private func admitted(_ governor: ThermalGovernor, _ start: UInt64) -> Double {
    Double((0..<300).filter { governor.admits(start + UInt64($0) * second / 30) }.count) / 10
  }

  func testTheRateFollowsTheStatus() {
    var told: [ThermalState] = []
    let governor = ThermalGovernor(source) { told.append($0) }
    XCTAssertEqual(admitted(governor, 0), 30)
    source.status = .fair
    XCTAssertEqual(admitted(governor, 20 * second), 15, accuracy: 0.2)
    source.status = .serious
    XCTAssertEqual(admitted(governor, 40 * second), 5, accuracy: 0.2)
    source.status = .critical
    XCTAssertEqual(admitted(governor, 60 * second), 1, accuracy: 0.2)
    source.status = .nominal
    XCTAssertEqual(admitted(governor, 80 * second), 30)
    XCTAssertEqual(told.map(\.framesPerSecond), [15, 5, 1, 30])
  }

  func testAModelThatBecameSlowerIsGivenFewerFrames() {
    let governor = ThermalGovernor(source)
    for _ in 0..<20 { governor.ran(10_000_000) }
    XCTAssertFalse(governor.state.isSlowed)
    for _ in 0..<15 { governor.ran(16_000_000) }
    XCTAssertTrue(governor.state.isSlowed)
    XCTAssertEqual(governor.state.framesPerSecond, 10)
    for _ in 0..<15 { governor.ran(11_000_000) }
    XCTAssertEqual(governor.state.framesPerSecond, 30)
  }

  func testZeroPauses() {
    var policy = ThermalPolicy()
    policy.critical = 0
    source.status = .critical
    XCTAssertEqual(admitted(ThermalGovernor(source, policy: policy), 0), 0)
  }
}
