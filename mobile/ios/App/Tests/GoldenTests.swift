import Phoneproof
import XCTest

/// What Python recorded when the models were built is what this app computes.
final class GoldenTests: XCTestCase {
  private func models() throws -> (folder: ModelFolder, paths: [String]) {
    let folder = try ModelFolder(.main)
    let paths = folder.models()
    XCTAssertFalse(paths.isEmpty, "the app has no models")
    return (folder, paths)
  }

  func testPixelsTensorsAndResultsArePythons() throws {
    let (folder, paths) = try models()
    for path in paths {
      let proof = try GoldenProof(folder, model: path, decode: imageIODecoder)
      XCTAssertEqual(try proof.differences(), [], path)
    }
  }

  func testThisDeviceComputesTheModels() throws {
    let (folder, paths) = try models()
    for path in paths {
      let proof = try GoldenProof(folder, model: path, decode: imageIODecoder)
      let engines = try AppleEngines.of(folder, model: path)
      XCTAssertEqual(try proof.differences(on: engines), [], path)
    }
  }
}
