import Foundation
import PhoneproofCore
import PhoneproofLiteRT
import XCTest

@testable import Phoneproof

/// Bundles that `phoneproof build` made, pixels to results, on the real LiteRT. What is found goes to
/// `PHONEPROOF_OUT`, where Python compares it with its own.
final class BundleRunTests: XCTestCase {
  private struct Found: Encodable {
    struct One: Encodable {
      let image: String
      let results: [Row]
    }

    struct Row: Encodable {
      let index: Int
      let label: String
      let score: Double
      var box: [Double] = []
    }

    let accelerator: String
    let whyNot: [String]
    let images: [One]
    let swapped: [One]
  }

  func testResultsOfEveryPicture() throws {
    let out = try Environment.folder("PHONEPROOF_OUT")
    let factory = try LiteRtEngines(library: Environment.library())
    for run in try BundleRun.all() {
      let model = try run.open(factory)
      let found = Found(
        accelerator: try XCTUnwrap(model.acceleratorInUse).title,
        whyNot: model.whyNot.map { "\($0.accelerator.title): \($0.state.rawValue), \($0.reason)" },
        images: try Self.results(model, run, .rgb), swapped: try Self.results(model, run, .bgr))
      try JSONEncoder().encode(found).write(to: out.appendingPathComponent("\(run.name).json"))
      model.close()
    }
  }

  private static func results(
    _ model: VisionModel, _ run: BundleRun, _ layout: Picture.Layout
  ) throws -> [Found.One] {
    let decode = run.raw.decoder(layout)
    return try run.images.map { url in
      let file = try Data(contentsOf: url)
      let fill = { (buffer: PixelBuffer) in try decode(file, model.contract.input, buffer) }
      let rows: [Found.Row]
      if model.contract.task == .detect {
        rows = try model.detect(fill).map {
          Found.Row(
            index: $0.classIndex, label: $0.label, score: Double($0.score),
            box: [$0.box.x1, $0.box.y1, $0.box.x2, $0.box.y2].map(Double.init))
        }
      } else {
        rows = try model.classify(fill).map {
          Found.Row(index: $0.classIndex, label: $0.label, score: Double($0.probability))
        }
      }
      return Found.One(image: url.lastPathComponent, results: rows)
    }
  }

  func testTheSelfTestWritesWhatPythonJudges() throws {
    let out = try Environment.folder("PHONEPROOF_OUT")
    let factory = try LiteRtEngines(library: Environment.library())
    var effort = SelfTestEffort()
    (effort.runs, effort.sustainedSeconds) = (5, 0.2)
    for run in try BundleRun.all() {
      let test = try SelfTest(
        run.bundle, model: run.path, factory: factory, decode: run.raw.decoder(), effort: effort)
      try test.run().json().write(
        to: out.appendingPathComponent("\(run.name)-device-results.json"))
    }
  }

  /// The control: outputs for other pictures are not the golden ones, so nothing is chosen.
  func testAnAcceleratorThatSeesOtherPicturesIsWrong() throws {
    let factory = try LiteRtEngines(library: Environment.library())
    let black: PictureDecoder = { _, _, buffer in
      let pixels = [UInt8](repeating: 0, count: 64 * 64 * 3)
      try pixels.withUnsafeBytes {
        buffer.fill(try Picture($0, height: 64, width: 64), exif: 1)
      }
    }
    for run in try BundleRun.all() {
      XCTAssertThrowsError(
        try VisionModel(
          run.bundle, model: run.path, factory: factory, decode: black,
          options: Environment.options), run.name
      ) { error in
        guard case PhoneproofError.engine(let problem) = error else { return XCTFail("\(error)") }
        XCTAssertTrue(problem.found.contains("dB from the golden values"), problem.found)
      }
    }
  }
}
