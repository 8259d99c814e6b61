import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

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
