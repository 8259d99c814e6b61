import Foundation
import Phoneproof
import PhoneproofCore
import XCTest

@testable import PhoneproofLiteRT

final class LiteRtEngineTests: XCTestCase {
  private func largest() throws -> (factory: LiteRtEngines, model: ModelFile) {
    let run = try BundleRun.largest()
    let url = run.bundle.url.appendingPathComponent(run.path)
    return (
      try LiteRtEngines(library: Environment.library()), try ModelFile(url, sha256: nil)
    )
  }

  private func input(of engine: any Engine) throws -> [UInt8] {
    let run = try BundleRun.largest()
    let contract = try Contract(json: Data(contentsOf: run.file("contract.json")))
    let binding = try Binding(json: Data(contentsOf: run.file("\(run.path).binding.json")))
    let count = try PixelPipeline(contract, binding).byteCount / 4
    let values = (0..<count).map { Float($0 % 251) / 251 }
    return values.withUnsafeBytes { Array($0) }
  }

  func testALibraryThatIsMissingOrAnotherOneIsATypedError() throws {
    for path in ["/no/libLiteRt.so", "/proc/self/cmdline"] {
      XCTAssertThrowsError(try LiteRtEngines(library: URL(fileURLWithPath: path))) { error in
        guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
        XCTAssertTrue(problem.found.contains(path), problem.found)
        XCTAssertFalse(problem.nextStep.isEmpty)
      }
    }
    // This process is linked with no LiteRT.
    XCTAssertThrowsError(try LiteRtEngines()) { error in
      guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
      XCTAssertEqual(problem.found, "no function LiteRtCreateEnvironment")
    }
  }

  func testAFileThatIsNoModelIsATypedError() throws {
    let factory = try largest().factory
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("no.tflite")
    for bytes in [Data(), Data("version https://git-lfs".utf8)] {
      try bytes.write(to: place)
      let file = try ModelFile(place, sha256: nil)
      XCTAssertThrowsError(try factory.open(file, on: factory.candidates[0])) { error in
        guard case PhoneproofError.modelFile(let problem) = error else {
          return XCTFail("\(error)")
        }
        XCTAssertTrue(problem.found.contains("no.tflite"))
      }
    }
    let gone = try ModelFile(place, sha256: nil)
    try FileManager.default.removeItem(at: place)
    XCTAssertThrowsError(try factory.open(gone, on: factory.candidates[0])) { error in
      guard case PhoneproofError.modelFile = error else { return XCTFail("\(error)") }
    }
  }

  /// LiteRT trusts what a file says of itself, so a truncated one never gets there.
  func testATruncatedFileIsRefusedByItsHash() throws {
    let model = try largest().model
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("half.tflite")
    let whole = try Data(contentsOf: model.url)
    try whole.prefix(whole.count / 2).write(to: place)
    XCTAssertThrowsError(try ModelFile(place, sha256: model.sha256)) { error in
      guard case PhoneproofError.modelFile = error else { return XCTFail("\(error)") }
    }
  }

  func testWhatItDoesNotComputeOnIsRefused() throws {
    let (factory, model) = try largest()
    XCTAssertEqual(factory.candidates.map(\.threads), [4, 2, 1])
    XCTAssertThrowsError(try factory.open(model, on: Accelerator(.gpu, "GPU"))) { error in
      guard case PhoneproofError.unsupported = error else { return XCTFail("\(error)") }
    }
  }

  func testEveryNumberOfThreadsGivesTheSame() throws {
    let (factory, model) = try largest()
    let outputs = try factory.candidates.map { one -> [Float] in
      let engine = try factory.open(model, on: one)
      defer { engine.close() }
      let bytes = try input(of: engine)
      return try bytes.withUnsafeBytes { try engine.run($0) }.flatMap {
        Array($0.bytes.bindMemory(to: Float.self))
      }
    }
    XCTAssertFalse(outputs[0].isEmpty)
    XCTAssertTrue(outputs[0].contains { $0 != 0 })
    for other in outputs.dropFirst() {
      for (a, b) in zip(outputs[0], other) { XCTAssertEqual(a, b, accuracy: 1e-6) }
    }
  }

  func testAnotherSizeOfInputIsATypedError() throws {
    let (factory, model) = try largest()
    let engine = try factory.open(model, on: factory.candidates[2])
    let bytes = try input(of: engine)
    for wrong in [[], Array(bytes.dropLast()), bytes + [0]] {
      XCTAssertThrowsError(try wrong.withUnsafeBytes { try engine.run($0) }) { error in
        guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
        XCTAssertTrue(problem.found.contains("\(bytes.count)"))
      }
    }
    XCTAssertNoThrow(try bytes.withUnsafeBytes { try engine.run($0) })
    engine.close()
  }

  func testUseAfterCloseIsATypedError() throws {
    let (factory, model) = try largest()
    let engine = try factory.open(model, on: factory.candidates[2])
    let bytes = try input(of: engine)
    _ = try bytes.withUnsafeBytes { try engine.run($0) }
    engine.close()
    engine.close()
    XCTAssertThrowsError(try bytes.withUnsafeBytes { try engine.run($0) }) { error in
      guard case PhoneproofError.closed = error else { return XCTFail("\(error)") }
    }
  }

  /// Open, run, close: whatever is not freed is there forty times. The allocator may keep a few.
  func testNothingIsLeftBehind() throws {
    let (factory, model) = try largest()
    func round() throws {
      let engine = try factory.open(model, on: factory.candidates[2])
      let bytes = try input(of: engine)
      _ = try bytes.withUnsafeBytes { try engine.run($0) }
    }
    for _ in 0..<5 { try round() }
    let before = try ownKilobytes()
    for _ in 0..<40 { try round() }
    let (grown, kilobytes) = (try ownKilobytes() - before, try size(of: model.url) / 1024)
    print("phoneproof-litert rounds grew \(grown) kB, model \(kilobytes) kB")
    XCTAssertGreaterThan(kilobytes, 1000)
    XCTAssertLessThan(grown, 5 * kilobytes)
  }

  private func size(of url: URL) throws -> Int { try Data(contentsOf: url).count }
}

extension BundleRun {
  func file(_ path: String) -> URL {
    folder.appendingPathComponent("bundle").appendingPathComponent(path)
  }
}
