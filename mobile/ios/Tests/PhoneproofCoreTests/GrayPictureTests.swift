import XCTest

@testable import PhoneproofCore

final class GrayPictureTests: XCTestCase {
  /// A file without colour is one byte a pixel: its red, green and blue.
  func testOneByteAPixelIsAllThreeColours() throws {
    let gray = Picture.Layout(red: 0, green: 0, blue: 0, bytesPerPixel: 1)
    let bytes: [UInt8] = [10, 20, 30, 40, 50, 60]
    let buffer = PixelBuffer()
    for (exif, expected) in [(1, bytes), (6, [40, 10, 50, 20, 60, 30])] {
      try bytes.withUnsafeBytes {
        buffer.fill(try Picture($0, height: 2, width: 3, layout: gray), exif: exif)
      }
      let pixels = Array(try buffer.picture().pixels)
      XCTAssertEqual(pixels, expected.flatMap { [$0, $0, $0] }, "\(exif)")
    }
  }
}
