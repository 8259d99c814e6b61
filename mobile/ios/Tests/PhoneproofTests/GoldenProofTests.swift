import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

/// The proof that ships in apps says nothing of what is right, and names the usual mistakes.
final class GoldenProofTests: XCTestCase {
  private func proof(
    _ bundle: GoldenBundle, mistaken text: String? = nil,
    decode: @escaping PictureDecoder = GoldenBundle.decode
  ) throws -> GoldenProof {
    var proof = try GoldenProof(bundle.folder, model: GoldenBundle.model, decode: decode)
    if let text {
      let mistaken = try Contract(json: text.utf8)
      proof.tensors = try PixelPipeline(mistaken, bundle.binding)
      proof.pixels = try PixelPipeline(pixelsOf: mistaken)
    }
    return proof
  }

  func testWhatIsRightHasNoDifferences() throws {
    let proof = try proof(GoldenBundle())
    XCTAssertEqual(proof.pictures, ["landscape-png", "rotated-png"])
    XCTAssertEqual(try proof.differences(), [])
  }

  private func assertFound(
    _ proof: GoldenProof, _ stage: GoldenStage, _ cause: String,
    pictures: [String] = ["landscape-png", "rotated-png"], line: UInt = #line
  ) throws {
    let found = try proof.differences()
    XCTAssertEqual(found.map(\.picture), pictures, line: line)
    for one in found {
      XCTAssertEqual(one.stage, stage, "\(one)", line: line)
      XCTAssertTrue(one.cause.contains(cause), "\(one)", line: line)
      XCTAssertTrue(one.found.contains("differ"), "\(one)", line: line)
    }
  }

  func testSwappedChannelsAreFound() throws {
    let bundle = try GoldenBundle()
    let text = GoldenBundle.contractText(channels: "bgr")
    try assertFound(proof(bundle, mistaken: text), .pixels, "red and blue are swapped")
    let decode: PictureDecoder = { file, _, buffer in
      try GoldenBundle.fill(buffer, file, exif: true) { bytes in
        for pixel in stride(from: 0, to: bytes.count, by: 3) { bytes.swapAt(pixel, pixel + 2) }
      }
    }
    try assertFound(proof(bundle, decode: decode), .pixels, "red and blue are swapped")
  }

  func testALetterboxOneRowOffIsFound() throws {
    let text = GoldenBundle.contractText(anchor: "top_left")
    let found = try proof(GoldenBundle(), mistaken: text).differences()
    XCTAssertEqual(
      found.map(\.cause),
      [
        "crop or padding is off by 1 rows and 0 columns",
        "crop or padding is off by 0 rows and 1 columns",
      ])
  }

  func testTheOtherLibrarysFilterIsFound() throws {
    let text = GoldenBundle.contractText(filter: "pillow.bilinear")
    try assertFound(proof(GoldenBundle(), mistaken: text), .pixels, "another resize")
  }

  func testMissingRotationIsFound() throws {
    let decode: PictureDecoder = { file, _, buffer in
      try GoldenBundle.fill(buffer, file, exif: false)
    }
    try assertFound(
      proof(GoldenBundle(), decode: decode), .pixels, "EXIF", pictures: ["rotated-png"])
  }

  func testDivisionBy256IsFound() throws {
    let text = GoldenBundle.contractText(scale: "0.00390625")
    try assertFound(proof(GoldenBundle(), mistaken: text), .tensor, "0.99609 times")
  }

  func testAnotherDecoderIsFound() throws {
    let bundle = try GoldenBundle()
    let place = bundle.folder.url.appendingPathComponent(GoldenIndex.path)
    let text = try String(contentsOf: place, encoding: .utf8)
    for (right, wrong, words) in [
      ("\"probability\":0.625", "\"probability\":0.62501", "score 0.625"),
      ("\"label\":2", "\"label\":0", "class 2 instead of 0"),
    ] {
      XCTAssertTrue(text.contains(right))
      try Data(text.replacingOccurrences(of: right, with: wrong).utf8).write(to: place)
      let found = try proof(bundle).differences()
      XCTAssertEqual(found.map(\.stage), [.results, .results])
      XCTAssertTrue(found.allSatisfy { $0.found.contains(words) }, "\(found)")
    }
  }

  func testAnAlteredOrForeignBundleIsRefused() throws {
    let bundle = try GoldenBundle()
    let picture = bundle.folder.url.appendingPathComponent("golden/landscape-png")
    try Data("46 50 1\n".utf8).write(to: picture)
    XCTAssertThrowsError(try proof(bundle).differences()) { assertModelFile($0, "landscape-png") }
    let other = GoldenBundle.contractText(scale: "1.0")
    try GoldenBundle.write(Data(other.utf8), bundle.folder.url, "contract.json")
    XCTAssertThrowsError(try proof(bundle)) { error in
      guard case PhoneproofError.binding = error else { return XCTFail("\(error)") }
    }
  }

  func testABundleWithoutVectorsIsNoProof() throws {
    let bundle = try GoldenBundle()
    let place = bundle.folder.url.appendingPathComponent(GoldenIndex.path)
    let text = try String(contentsOf: place, encoding: .utf8)
    try Data(text.replacingOccurrences(of: "lossless", with: "jpeg").utf8).write(to: place)
    XCTAssertThrowsError(try proof(bundle)) { assertModelFile($0, "nothing to prove") }
  }

  private func assertModelFile(_ error: any Error, _ words: String, line: UInt = #line) {
    guard case PhoneproofError.modelFile(let problem) = error else {
      return XCTFail("\(error)", line: line)
    }
    XCTAssertTrue(problem.failed.contains(words), problem.failed, line: line)
    XCTAssertFalse(problem.nextStep.isEmpty, line: line)
  }

  func testAnEngineThatComputesSomethingElseIsFound() throws {
    let bundle = try GoldenBundle()
    let clock = FakeClock()
    let right = FakeFactory(
      behaviours: [(accelerator: .cpu, behaviour: .right, milliseconds: 1)], clock: clock)
    // The fake engine's scores are not the recorded ones.
    XCTAssertThrowsError(try proof(bundle).differences(on: right)) { error in
      guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
      XCTAssertTrue(problem.found.contains("dB from the golden values"), problem.found)
    }
    XCTAssertEqual(try proof(bundle).differences(on: right, leastDecibels: -100), [])
  }

  func testTheFolderListsItsModels() throws {
    let bundle = try GoldenBundle()
    XCTAssertEqual(bundle.folder.models(), [GoldenBundle.model])
    try GoldenBundle.write(Data(), bundle.folder.url, "artifacts/gone.bin.binding.json")
    try GoldenBundle.write(Data(), bundle.folder.url, "artifacts/alone.bin")
    XCTAssertEqual(bundle.folder.models(), [GoldenBundle.model])
    XCTAssertEqual(ModelFolder(bundle.folder.url.appendingPathComponent("no")).models(), [])
  }

  /// A bundle that Python wrote, with its pictures decoded: `<sha256 of the file>` in the folder.
  func testABundleOfTheBuild() throws {
    let environment = ProcessInfo.processInfo.environment
    guard let path = environment["PHONEPROOF_BUNDLE"],
      let decoded = environment["PHONEPROOF_DECODED"]
    else { return }
    let decode: PictureDecoder = { file, _, buffer in
      let name = file.withUnsafeBytes { SHA256.hexDigest(of: $0) }
      let raw = try Data(contentsOf: URL(fileURLWithPath: "\(decoded)/\(name)"))
      try GoldenBundle.fill(buffer, raw, exif: true)
    }
    let folder = ModelFolder(URL(fileURLWithPath: path))
    for model in folder.models() {
      let proof = try GoldenProof(folder, model: model, decode: decode)
      XCTAssertEqual(try proof.differences(), [])
      print("phoneproof-proof \(model) \(proof.pictures.count)")
    }
  }
}
