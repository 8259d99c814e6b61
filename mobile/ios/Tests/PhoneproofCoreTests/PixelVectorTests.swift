import XCTest

@testable import PhoneproofCore

/// Zero differing bytes, whatever the size.
final class PixelVectorTests: XCTestCase {
  func testResize() throws {
    for one in try Vectors.cases("resize") + extra("resize") { try resize(one) }
  }

  func testTensors() throws {
    for one in try Vectors.cases("tensor") + extra("tensor") { try tensor(one) }
  }

  func testGeometry() throws {
    for one in try Vectors.cases("geometry") + extra("geometry") {
      let (height, width) = (try one.whole("height"), try one.whole("width"))
      let made = Result {
        try GeometryPlan(
          ImageInput(try one.value("input"), path: "input"), height: height, width: width)
      }
      if one.has("error") {
        XCTAssertThrowsError(try made.get(), one.id) { error in
          guard case PhoneproofError.geometry(let problem) = error else {
            return XCTFail("\(one.id): \(error)")
          }
          XCTAssertFalse(problem.found.isEmpty)
          XCTAssertFalse(problem.nextStep.isEmpty)
        }
        continue
      }
      let plan = try made.get()
      XCTAssertEqual(plan.size, try size(one, "size"), one.id)
      XCTAssertEqual(
        [plan.gainY, plan.gainX, plan.top, plan.left],
        try ["gain_y", "gain_x", "top", "left"].map { try one.number($0) }, one.id)
      XCTAssertEqual(plan.steps, try one.items("steps").map { try step(Case($0)) }, one.id)
    }
  }

  /// Cases of a file that the environment names: sizes that no file lists.
  private func extra(_ area: String) throws -> [Case] {
    guard let path = ProcessInfo.processInfo.environment["PHONEPROOF_VECTORS_EXTRA"] else {
      return []
    }
    return try Vectors.cases(of: URL(fileURLWithPath: path), area: area)
  }

  private func resize(_ one: Case) throws {
    let picture = try FormulaPicture(one.part("picture"))
    let filter = try XCTUnwrap(Filter(rawValue: try one.text("filter")))
    let target = try size(one, "size")
    let from = Size(height: picture.height, width: picture.width)
    var bytes: [UInt8] = []
    picture.bytes.withUnsafeBufferPointer { buffer in
      let source = Source(buffer.baseAddress!, from, channels: picture.channels)
      let count = target.width * picture.channels
      if filter.givesFloats {
        TensorFlowBilinear(filter, from: from, to: target, channels: picture.channels)
          .rows(of: source, in: 0..<target.height) { _, row in
            bytes += UnsafeRawBufferPointer(start: row, count: count * 4)
          }
      } else {
        makeResampler(filter, from: from, to: target, channels: picture.channels)
          .rows(of: source, in: 0..<target.height) { _, row in
            bytes += UnsafeBufferPointer(start: row, count: count)
          }
      }
    }
    try assertEqual(bytes, one.part("expected"), one.id)
  }

  private func tensor(_ one: Case) throws {
    let pipeline = try PixelPipeline(
      ImageInput(one.value("input"), path: "input"),
      InputBinding(one.value("binding"), path: "binding"))
    let picture = try FormulaPicture(one.part("picture"))
    var bytes = [UInt8](repeating: 0xAA, count: pipeline.byteCount)
    try picture.with { picture in
      for _ in 0..<2 {  // the second one finds everything prepared
        for i in bytes.indices { bytes[i] = 0xAA }
        try bytes.withUnsafeMutableBytes { _ = try pipeline.fill($0, from: picture) }
      }
    }
    try assertEqual(bytes, one.part("expected"), one.id)
  }

  private func size(_ one: Case, _ name: String) throws -> Size {
    let sides = try one.numbers(name)
    return Size(height: Int(sides[0]), width: Int(sides[1]))
  }

  private func step(_ one: Case) throws -> GeometryPlan.Step {
    let (height, width) = (try one.whole("height"), try one.whole("width"))
    switch try one.text("op") {
    case "crop":
      return .crop(
        .init(
          top: try one.whole("top"), left: try one.whole("left"), height: height, width: width))
    case "pad":
      return .pad(
        .init(
          top: try one.whole("top"), left: try one.whole("left"), height: height, width: width,
          value: try one.numbers("value").map { UInt8($0) }))
    default:
      return .resize(
        .init(
          height: height, width: width, gainY: try one.number("gain_y"),
          gainX: try one.number("gain_x"),
          filter: try XCTUnwrap(Filter(rawValue: try one.text("filter")))))
    }
  }
}
