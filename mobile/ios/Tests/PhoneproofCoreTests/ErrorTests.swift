import XCTest

@testable import PhoneproofCore

/// Bad input: each a typed error that says what was found and what to do.
final class ErrorTests: XCTestCase {
  private static let contract = """
    {"schema":"phoneproof.contract/1","name":"n","task":"classify","inputs":[{"geometry":[{"op":\
    "resize","to":"contain","size":[8,8]},{"op":"pad","size":[8,8]}],"size":[8,8],\
    "scale":0.00392156862745098,"mean":[0,0,0],"std":[1,1,1]}],"labels":["a","b"]}
    """
  private static let binding = """
    {"contract":"x","format":"tflite","inputs":[{"tensor":"i","shape":[1,8,8,3],"layout":"NHWC"}],\
    "outputs":[{"tensor":"s","role":"scores","shape":[1,2],"axes":["class"]}]}
    """

  private func problem(_ body: () throws -> Void) -> PhoneproofError? {
    do {
      try body()
      XCTFail("nothing was thrown")
      return nil
    } catch let error as PhoneproofError {
      XCTAssertFalse(error.problem.failed.isEmpty)
      return error
    } catch {
      XCTFail("\(error)")
      return nil
    }
  }

  func testWhatIsRightIsRead() throws {
    let contract = try Contract(json: Self.contract.utf8)
    XCTAssertEqual(contract.input.scale, 1.0 / 255)
    XCTAssertEqual(contract.label(of: 1), "b")
    XCTAssertNoThrow(try PixelPipeline(contract, Binding(json: Self.binding.utf8)))
  }

  func testDamagedContractsAreRefused() {
    let damages = [
      ("contract/1\"", "contract/2\""), ("\"task\":\"classify\",", ""),
      ("\"classify\"", "\"dance\""), ("[8,8]}],\"size\"", "[8]}],\"size\""),
      ("\"labels\"", "\"lables\""), ("[1,1,1]", "[1,0,1]"), ("[1,1,1]", "[1,1]"),
      ("\"resize\"", "\"warp\""), ("\"to\":\"contain\"", "\"to\":7"),
      ("{\"schema\"", "[{\"schema\""),
      ("\"b\"]}", "\"b\"]"), ("\"b\"]}", "\"b\"]} {}"), ("[8,8]},{", "[8,70000]},{"),
      ("\"name\":\"n\"", "\"name\":\"\\ud800\""), ("0.00392156862745098", "1e999"),
    ]
    for (from, to) in damages {
      let text = Self.contract.replacingOccurrences(of: from, with: to)
      XCTAssertNotEqual(text, Self.contract, from)
      let error = problem { _ = try Contract(json: text.utf8) }
      XCTAssertNotEqual(error?.problem.found, "", "\(from) -> \(to): \(error as Any)")
    }
    XCTAssertEqual(
      problem { _ = try Contract(json: "{\"schema\": \"phoneproof.contract/2\"}".utf8) }?.problem
        .found, "phoneproof.contract/2 instead of phoneproof.contract/1")
  }

  func testHostileDocumentsEndInAnError() {
    for text in [
      String(repeating: "[", count: 1_000_000), "", "\u{0}", "{\"a\":1,\"a\":2}", "nul", "\"",
      "{\"schema\":", "-", "[1,]", "\"\\u12\"",
    ] { _ = problem { _ = try Contract(json: text.utf8) } }
    _ = problem { _ = try Contract(json: [0x22, 0xff, 0x22] as [UInt8]) }
  }

  func testABindingThatDoesNotFitIsRefused() throws {
    let contract = try Contract(json: Self.contract.utf8)
    for (from, to) in [
      ("[1,8,8,3]", "[1,3,8,8]"), ("\"NHWC\"", "\"NHWC\",\"dtype\":\"int8\""),
      ("\"NHWC\"", "\"NHWC\",\"dtype\":\"int64\""),
    ] {
      let text = Self.binding.replacingOccurrences(of: from, with: to)
      _ = problem { _ = try PixelPipeline(contract, Binding(json: text.utf8)) }
    }
  }

  func testPicturesThatAreNoneAreRefused() throws {
    let bytes = [UInt8](repeating: 0, count: 48)
    try bytes.withUnsafeBytes { raw in
      XCTAssertNoThrow(try Picture(raw, height: 4, width: 4))
      XCTAssertNoThrow(try Picture(raw, height: 3, width: 4, bytesPerRow: 16))
      for (height, width, row) in [
        (0, 4, 12), (4, 0, 12), (-1, 4, 12), (4, 4, 13), (4, 4, 11), (5, 4, 12),
        (Int.max, Int.max, Int.max), (100_000, 100_000, 300_000), (2, 4, Int.max),
      ] {
        _ = problem { _ = try Picture(raw, height: height, width: width, bytesPerRow: row) }
      }
      let pipeline = try PixelPipeline(
        Contract(json: Self.contract.utf8), Binding(json: Self.binding.utf8))
      var small = [UInt8](repeating: 0, count: 100)
      _ = problem {
        try small.withUnsafeMutableBytes { memory in
          _ = try pipeline.fill(memory, from: Picture(raw, height: 4, width: 4))
        }
      }
      _ = problem {
        _ = try YUVFrame(
          y: .init(raw, bytesPerRow: 4), u: .init(raw, bytesPerRow: 1),
          v: .init(raw, bytesPerRow: 2),
          height: 8, width: 4)
      }
    }
  }

  /// The same pixels in rows with gaps and four bytes a pixel give the same tensor.
  func testStridesAndLayoutsDoNotShow() throws {
    let pipeline = try PixelPipeline(
      Contract(json: Self.contract.utf8), Binding(json: Self.binding.utf8))
    let rgb = FormulaPicture.noise(5, count: 7 * 11 * 3)
    var bgra = [UInt8](repeating: 9, count: 7 * 50)
    for y in 0..<7 {
      for x in 0..<11 {
        for c in 0..<3 { bgra[y * 50 + x * 4 + 2 - c] = rgb[(y * 11 + x) * 3 + c] }
      }
    }
    var tensors: [[UInt8]] = []
    for (bytes, row, layout) in [(rgb, 33, Picture.Layout.rgb), (bgra, 50, .bgra)] {
      var tensor = [UInt8](repeating: 0, count: pipeline.byteCount)
      try bytes.withUnsafeBytes { raw in
        let picture = try Picture(raw, height: 7, width: 11, bytesPerRow: row, layout: layout)
        _ = try tensor.withUnsafeMutableBytes { try pipeline.fill($0, from: picture) }
      }
      tensors.append(tensor)
    }
    XCTAssertEqual(tensors[0], tensors[1])
  }
}
