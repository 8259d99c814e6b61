import Foundation
import XCTest

@testable import GoldenVectors

final class SHA256Tests: XCTestCase {
  func testKnownDigests() {
    XCTAssertEqual(
      SHA256.hexDigest(of: Data()),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    XCTAssertEqual(
      SHA256.hexDigest(of: Data("abc".utf8)),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    XCTAssertEqual(
      SHA256.hexDigest(of: Data(repeating: 0x61, count: 1_000_000)),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  func testPiecesGiveTheDigestOfTheWhole() {
    let data = Data((0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    let whole = SHA256.hexDigest(of: data)
    for size in [1, 55, 56, 63, 64, 65, 119, 120, 500] {
      var hash = SHA256()
      for start in stride(from: 0, to: data.count, by: size) {
        hash.update(data[start..<min(start + size, data.count)])
      }
      XCTAssertEqual(hash.hexDigest(), whole, "pieces of \(size)")
    }
  }
}

final class HalfTests: XCTestCase {
  func testEveryHalfComesBack() {
    for bits in UInt16.min...UInt16.max {
      let wide = Half.widened(bits)
      if wide.isNaN {
        XCTAssertEqual(Half.narrowed(wide) & 0x7c00, 0x7c00)
      } else {
        XCTAssertEqual(Half.narrowed(wide), bits)
      }
    }
  }

  func testRounding() {
    XCTAssertEqual(Half.narrowed(1 + 0x1p-11), 0x3c00, "a tie goes to the even one")
    XCTAssertEqual(Half.narrowed(1 + 0x1.8p-10), 0x3c02)
    XCTAssertEqual(Half.narrowed(65519), 0x7bff)
    XCTAssertEqual(Half.narrowed(65520), 0x7c00)
    XCTAssertEqual(Half.narrowed(-0x1p-25), 0x8000)
    XCTAssertEqual(Half.widened(0x0001), 0x1p-24)
    XCTAssertEqual(Half.narrowed(2 - 0x1p-12), 0x4000, "a carry into the exponent")
  }
}

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
        name: "scores", dtype: .float32, every: 1, values: "", maxAbs: $0.maxAbs, snrDb: $0.snr)
    }
    var cpu = Accelerator(kind: .cpu, name: "CPU", state: .ran)
    cpu.vectors = [RecordedVector(case: "one", inputSha256: nil, outputs: recorded)]
    return DeviceResults(
      created: "", madeBy: MadeBy(name: "", version: ""),
      device: DeviceFacts(model: "", name: "", os: "", osVersion: "", chip: ""),
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

final class StatisticsTests: XCTestCase {
  func testMedianAndNearestRank() throws {
    let twenty = try XCTUnwrap(Statistics((1...20).map(Double.init).shuffled()))
    XCTAssertEqual(twenty.median, 10.5)
    XCTAssertEqual(twenty.p95, 19)
    let one = try XCTUnwrap(Statistics([3]))
    XCTAssertEqual(one.median, 3)
    XCTAssertEqual(one.p95, 3)
    XCTAssertNil(Statistics([]))
  }
}

final class TreeHashTests: XCTestCase {
  private var folder = URL(fileURLWithPath: "/")

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    for (path, text) in [("a/x", "1"), ("a-b/x", "2"), ("é", "3"), (".hidden", "4")] {
      let file = folder.appendingPathComponent(path)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
  }

  override func tearDown() { try? FileManager.default.removeItem(at: folder) }

  func testPathsAreSortedByComponent() throws {
    let lines = [(".hidden", "4"), ("a/x", "1"), ("a-b/x", "2"), ("é", "3")]
      .map { "\($0.0)\0\(SHA256.hexDigest(of: Data($0.1.utf8)))\n" }
    XCTAssertEqual(
      try TreeHash.hexDigest(of: folder), SHA256.hexDigest(of: Data(lines.joined().utf8)))
  }

  func testAFileIsItsOwnHash() throws {
    XCTAssertEqual(
      try TreeHash.hexDigest(of: folder.appendingPathComponent("é")),
      SHA256.hexDigest(of: Data("3".utf8)))
    XCTAssertThrowsError(try TreeHash.hexDigest(of: folder.appendingPathComponent("none")))
  }
}

final class TextTests: XCTestCase {
  func testTextsAreOneLine() {
    XCTAssertEqual(oneLine("a\n\tb \u{7f}c\u{1b}[1m"), "a b c [1m")
    XCTAssertEqual(oneLine(String(repeating: "x", count: 900)).count, 400)
  }
}

final class DeviceNameTests: XCTestCase {
  func testNames() {
    XCTAssertEqual(DeviceNames.name(of: "iPhone17,3"), "iPhone 16")
    XCTAssertEqual(DeviceNames.name(of: "iPhone99,1"), "")
  }
}
