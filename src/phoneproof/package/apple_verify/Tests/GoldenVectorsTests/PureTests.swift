import Foundation
import XCTest

@testable import GoldenVectors

final class TensorTests: XCTestCase {
  func testSamplesAreEveryNthElement() throws {
    let values: [Float] = (0..<10).map(Float.init)
    let tensor = try Tensor(type: .float32, shape: [2, 5], bytes: values.littleEndianBytes)
    let expected: [Float] = [0, 3, 6, 9]
    XCTAssertEqual(tensor.sampled(every: 3), expected.littleEndianBytes)
    XCTAssertEqual(tensor.sampled(every: 1), tensor.bytes)
  }

  func testSizesAreChecked() {
    XCTAssertThrowsError(try Tensor(type: .float32, shape: [2, 5], bytes: Data(count: 39)))
    XCTAssertThrowsError(try Tensor(type: .float16, shape: [-1, -2], bytes: Data(count: 4)))
  }

  func testConversions() throws {
    let values: [Float] = [0, 1, -2.5, 65504]
    let tensor = try Tensor(type: .float32, shape: [4], bytes: values.littleEndianBytes)
    let half = try tensor.converted(to: .float16)
    XCTAssertEqual(half.bytes.count, 8)
    XCTAssertEqual(try half.converted(to: .float32).bytes, tensor.bytes)
    XCTAssertThrowsError(try tensor.converted(to: .int32))
  }
}

final class DistanceTests: XCTestCase {
  private func distance(_ values: [Float], _ recorded: [Float]) -> Distance {
    Distance(
      of: values.littleEndianBytes, from: recorded.littleEndianBytes, type: .float32)
  }

  func testEqualOutputs() {
    XCTAssertEqual(distance([1, .nan], [1, .nan]).maxAbs, 0)
    XCTAssertNil(distance([1], [1]).snr)
  }

  func testNoise() throws {
    let one = distance([1.5, 2], [1, 2])
    XCTAssertEqual(one.maxAbs, 0.5)
    XCTAssertEqual(try XCTUnwrap(one.snr), 10 * log10(5 / 0.25), accuracy: 1e-9)
  }

  func testWhatIsNoNumber() {
    XCTAssertNil(distance([.nan], [1]).maxAbs)
    XCTAssertNil(distance([.infinity], [1]).snr)
  }
}

final class LooksRightTests: XCTestCase {
  private func looksRight(
    _ outputs: [(maxAbs: Double?, snr: Double?)], atLeast decibels: Double?
  ) -> Bool {
    let recorded = outputs.map {
      RecordedOutput(
        name: "scores", dtype: "float32", every: 1, values: "", maxAbs: $0.maxAbs, snrDb: $0.snr)
    }
    var cpu = MeasuredAccelerator(Accelerator(.cpu, "CPU"), .ran)
    cpu.vectors = [RecordedVector(case: "one", inputSha256: nil, outputs: recorded)]
    return DeviceResults(
      created: "", madeBy: MadeBy(name: "", version: ""),
      device: DeviceFacts(model: "", os: "", osVersion: ""),
      contract: "", golden: "", artifact: "", engine: "", engineVersion: "", accelerators: [cpu]
    ).looksRight(atLeast: decibels)
  }

  func testNoiseIsHeldToTheDecibels() {
    XCTAssertTrue(looksRight([(0, nil), (0.1, 46)], atLeast: 45))
    XCTAssertFalse(looksRight([(0, nil), (0.1, 44)], atLeast: 45))
    XCTAssertTrue(looksRight([(0.1, 3)], atLeast: nil))
  }

  func testWhatIsNoNumberIsNeverRight() {
    for decibels in [nil, -300.0, 20.0] {
      XCTAssertFalse(looksRight([(0, nil), (nil, nil)], atLeast: decibels))
      XCTAssertFalse(looksRight([], atLeast: decibels))
    }
  }
}
