import XCTest

@testable import PhoneproofCore

/// The golden comparison sees the usual mistakes: each changes the tensor's hash.
final class MutationTests: XCTestCase {
  private static func contract(
    channels: String = "rgb", filter: String = "opencv.linear",
    scale: String = "0.00392156862745098",
    anchor: String = "center"
  ) -> String {
    """
    {"name":"n","task":"classify","inputs":[{"channels":"\(channels)","geometry":[{"op":"resize",\
    "to":"contain","size":[32,32],"filter":"\(filter)"},{"op":"pad","size":[32,32],\
    "anchor":"\(anchor)"}],"size":[32,32],"scale":\(scale),"mean":[0,0,0],"std":[1,1,1]}]}
    """
  }

  /// 46 rows become 29 of 32: a centred picture begins at row 1.
  private func hash(_ contract: String, exif: Int = 1) throws -> String {
    let binding = """
      {"contract":"x","format":"tflite","inputs":[{"tensor":"i","shape":[1,32,32,3],\
      "layout":"NHWC"}],"outputs":[]}
      """
    let pipeline = try PixelPipeline(Contract(json: contract.utf8), Binding(json: binding.utf8))
    let bytes = FormulaPicture.noise(3, count: 46 * 50 * 3)
    let buffer = PixelBuffer()
    try bytes.withUnsafeBytes { buffer.fill(try Picture($0, height: 46, width: 50), exif: exif) }
    var tensor = [UInt8](repeating: 0, count: pipeline.byteCount)
    _ = try tensor.withUnsafeMutableBytes { try pipeline.fill($0, from: buffer.picture()) }
    return tensor.withUnsafeBytes { SHA256.hexDigest(of: $0) }
  }

  func testEachMistakeShows() throws {
    let right = try hash(Self.contract())
    XCTAssertEqual(right, try hash(Self.contract()))
    let mistakes = [
      "BGR": try hash(Self.contract(channels: "bgr")),
      "letterbox one row higher": try hash(Self.contract(anchor: "top_left")),
      "the other library's filter": try hash(Self.contract(filter: "pillow.bilinear")),
      "/ 256": try hash(Self.contract(scale: "0.00390625")),
      "EXIF ignored": try hash(Self.contract(), exif: 3),
    ]
    for (name, found) in mistakes { XCTAssertNotEqual(found, right, name) }
    XCTAssertEqual(Set(mistakes.values).count, mistakes.count)
  }

  func testSHA256() {
    let known = [
      "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ]
    for (text, digest) in known {
      XCTAssertEqual(Array(text.utf8).withUnsafeBytes { SHA256.hexDigest(of: $0) }, digest)
    }
    let bytes = [UInt8](repeating: 97, count: 1000)
    bytes.withUnsafeBytes { whole in
      var pieces = SHA256()
      for start in stride(from: 0, to: 1000, by: 37) {
        pieces.update(UnsafeRawBufferPointer(rebasing: whole[start..<min(start + 37, 1000)]))
      }
      XCTAssertEqual(pieces.hexDigest(), SHA256.hexDigest(of: whole))
    }
  }
}
