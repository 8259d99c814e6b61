import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

final class SelfTestTests: XCTestCase {
  private struct Warm: ThermalSource { let status = ThermalStatus.fair }

  func testEveryAcceleratorIsMeasuredWhateverItDoes() throws {
    let fake = try FakeModel()
    let clock = FakeClock()
    var factory = FakeFactory(
      behaviours: [
        (accelerator: .npu, behaviour: .hangsOnRun, milliseconds: 1),
        (accelerator: .gpu, behaviour: .garbage, milliseconds: 1),
        (accelerator: .cpu, behaviour: .right, milliseconds: 4),
      ], clock: clock)
    factory.missing = [(accelerator: Accelerator(.any, "all"), reason: "two\nlines")]
    var effort = SelfTestEffort()
    effort.sustainedSeconds = 0.1
    effort.runs = 20
    let sha = String(repeating: "0", count: 64)
    let test = try SelfTest(
      fake.contract, fake.binding, model: fake.file,
      vectors: GoldenVectors(sha256: sha, cases: [fake.golden]), factory: factory, byteCount: 48,
      device: DeviceFacts(model: "iPhone17,3", os: "iOS", osVersion: "18.1"), thermal: Warm(),
      clock: clock, limits: FakeModel.options.limits, effort: effort)
    let results = test.run()
    XCTAssertEqual(results.accelerators.map(\.state), [.failed, .ran, .ran, .unavailable])
    XCTAssertEqual(results.accelerators[3].reason, "two lines")
    let (gpu, cpu) = (results.accelerators[1], results.accelerators[2])
    XCTAssertEqual(cpu.vectors[0].outputs[0].maxAbs, 0)
    XCTAssertGreaterThan(try XCTUnwrap(gpu.vectors[0].outputs[0].maxAbs), 0.1)
    XCTAssertEqual(cpu.vectors[0].classes?.map(\.label), [2, 0])
    XCTAssertEqual(cpu.latency?.n, 20)
    XCTAssertEqual(cpu.latency?.p50Ms, 4)
    XCTAssertEqual(cpu.latency?.p95Ms, 4)
    XCTAssertEqual(cpu.sustained?.n, 25)
    XCTAssertEqual(cpu.thermal, .fair)
    let json = try results.json()
    if let path = ProcessInfo.processInfo.environment["PHONEPROOF_DEVICE_RESULTS"] {
      try json.write(to: URL(fileURLWithPath: path))
    }
    let text = try XCTUnwrap(String(data: json, encoding: .utf8))
    for part in [
      "\"schema\":\"phoneproof.device-results/1\"", "\"first_p50_ms\":4", "\"snr_db\"",
      "\"input_sha256\"", "\"made_by\"",
    ] { XCTAssertTrue(text.contains(part), part) }
  }
}
