import XCTest

@testable import PhoneproofCore

/// Decoded results: order and class equal, boxes within 1e-4 pixels, scores within 1e-6.
final class ResultVectorTests: XCTestCase {
  func testInverseGeometry() throws {
    for one in try Vectors.cases("inverse") {
      let plan = try GeometryPlan(
        ImageInput(one.value("input"), path: "input"), height: one.whole("height"),
        width: one.whole("width"))
      for (box, expected) in zip(try boxes(one, "boxes"), try boxes(one, "expected")) {
        XCTAssertEqual(plan.toOriginal(box), expected, one.id)
      }
    }
  }

  func testDecode() throws {
    for one in try Vectors.cases("decode") {
      let made = Result { () throws -> Results in
        let contract = try Contract(one.value("contract"))
        XCTAssertEqual(contract.sha256, try one.part("binding").text("contract"), one.id)
        let plan = try GeometryPlan(
          contract.input, height: one.whole("height"), width: one.whole("width"))
        return try results(one, contract, plan)
      }
      guard !one.has("error") else {
        XCTAssertThrowsError(try made.get(), one.id) { error in
          guard let known = error as? PhoneproofError else { return XCTFail("\(one.id): \(error)") }
          XCTAssertFalse(known.problem.failed.isEmpty, one.id)
          XCTAssertFalse(known.problem.nextStep.isEmpty, "\(one.id): \(known)")
        }
        continue
      }
      try compare(made.get(), one)
    }
  }

  func testWholeImages() throws {
    let buffer = PixelBuffer()
    for one in try Vectors.cases("images") {
      let contract = try Contract(one.value("contract"))
      let picture = try FormulaPicture(one.part("picture"))
      let exif = contract.input.orientation == .exif ? try one.whole("exif") : 1
      try picture.with { picture in
        if picture.layout.bytesPerPixel == 4 {
          try buffer.fill(rgba: picture, alpha: contract.input.alpha, exif: exif)
        } else {
          buffer.fill(picture, exif: exif)
        }
      }
      let pipeline = try PixelPipeline(contract, try Binding(one.value("binding")))
      var tensor = [UInt8](repeating: 0, count: pipeline.byteCount)
      let plan = try tensor.withUnsafeMutableBytes { try pipeline.fill($0, from: buffer.picture()) }
      try assertEqual(tensor, one.part("tensor"), one.id)
      try compare(results(one, contract, plan), one)
    }
  }

  private func results(_ one: Case, _ contract: Contract, _ plan: GeometryPlan) throws -> Results {
    let decoder = try Decoder(contract, Binding(one.value("binding")))
    var tensors: [OutputTensor] = []
    var memory: [UnsafeMutableRawBufferPointer] = []
    defer { for one in memory { one.deallocate() } }
    for item in try one.items("outputs").map(Case.init) {
      let data = try XCTUnwrap(base64Bytes(item.text("data")))
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 16)
      bytes.copyBytes(from: data)
      memory.append(bytes)
      tensors.append(
        OutputTensor(
          name: try item.text("tensor"),
          type: try XCTUnwrap(ElementType(rawValue: item.text("dtype"))),
          shape: try item.numbers("shape").map { Int($0) }, bytes: UnsafeRawBufferPointer(bytes)))
    }
    let index = one.has("index") ? try one.whole("index") : 0
    let first = try decoder.decode(tensors, plan: plan, index: index)
    XCTAssertEqual("\(first)", "\(try decoder.decode(tensors, plan: plan, index: index))", one.id)
    return first
  }

  private func compare(_ results: Results, _ one: Case) throws {
    switch results {
    case .detections(let found):
      let expected = try one.items("detections").map(Case.init)
      XCTAssertEqual(found.map(\.classIndex), try expected.map { try $0.whole("class") }, one.id)
      for (detection, row) in zip(found, expected) {
        XCTAssertEqual(Double(detection.score), try row.number("score"), accuracy: 1e-6, one.id)
        let sides = try row.numbers("box")
        let box = detection.box
        for (side, wanted) in zip([box.x1, box.y1, box.x2, box.y2], sides) {
          XCTAssertEqual(Double(side), wanted, accuracy: 1e-4, one.id)
        }
      }
    case .classes(let found):
      let expected = try one.items("classes").map(Case.init)
      XCTAssertEqual(found.map(\.classIndex), try expected.map { try $0.whole("class") }, one.id)
      for (one, row) in zip(found, expected) {
        XCTAssertEqual(Double(one.probability), try row.number("score"), accuracy: 1e-6)
      }
    case .raw(let found):
      let expected = try one.items("raw").map(Case.init)
      XCTAssertEqual(found.map(\.tensor), try expected.map { try $0.text("tensor") }, one.id)
      for (output, item) in zip(found, expected) {
        XCTAssertEqual(output.shape, try item.numbers("shape").map { Int($0) }, one.id)
        let wanted = try XCTUnwrap(base64Bytes(item.text("data")))
        XCTAssertEqual(output.values.withUnsafeBytes { Array($0) }, wanted, one.id)
      }
    }
  }

  private func boxes(_ one: Case, _ name: String) throws -> [Box] {
    try one.items(name).map { item in
      guard case .array(let sides) = item else { throw Case.Missing(field: name) }
      let values = try sides.map { Float(try Case.number($0)) }
      return Box(x1: values[0], y1: values[1], x2: values[2], y2: values[3])
    }
  }
}
