import Foundation
import GoldenVectors
import PhoneproofVerify
import XCTest

/// Every model of the bundle on this device. The results are attached to the test report.
final class ModelTests: XCTestCase {
  func testModelsGiveWhatWasRecorded() async throws {
    let kit = try VerifyKit()
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("phoneproof-verify-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    var ran = 0
    for artifact in kit.payload.kit.artifacts {
      guard (try? kit.engine(for: artifact)) != nil else { continue }
      let made = try await kit.measure(artifact, into: folder) { print($0) }
      attach(made.file)
      XCTAssertTrue(
        made.results.looksRight(atLeast: artifact.leastDecibels),
        "\(artifact.id) differs from what was recorded; judge it with phoneproof verify --results")
      ran += 1
    }
    try XCTSkipIf(ran == 0, "no engine on this system runs a model of this kit")
  }

  private func attach(_ file: URL) {
    #if canImport(Darwin)
      let attachment = XCTAttachment(contentsOfFile: file)
      attachment.lifetime = .keepAlways
      add(attachment)
    #endif
  }
}
