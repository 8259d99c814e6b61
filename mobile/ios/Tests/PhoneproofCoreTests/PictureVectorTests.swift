import XCTest

@testable import PhoneproofCore

/// What happens before the geometry: gray, opacity, orientation, camera frames; and the tables.
final class PictureVectorTests: XCTestCase {
  func testGray() throws {
    for one in try Vectors.cases("gray") {
      let picture = try FormulaPicture(one.part("picture"))
      let formula = try XCTUnwrap(GrayFormula(rawValue: one.text("formula")))
      var bytes = [UInt8](repeating: 0, count: picture.height * picture.width)
      try picture.with { picture in
        bytes.withUnsafeMutableBufferPointer {
          formula.fill($0.baseAddress!, from: Source(picture))
        }
      }
      try assertEqual(bytes, one.part("expected"), one.id)
    }
  }

  func testAlpha() throws {
    let buffer = PixelBuffer()
    for one in try Vectors.cases("alpha") {
      let picture = try FormulaPicture(one.part("picture"))
      var alpha = ImageInput.Alpha.drop
      if case .array = try one.value("background") {
        let color = try one.numbers("background").map { UInt8($0) }
        alpha = .background(red: color[0], green: color[1], blue: color[2])
      }
      try picture.with { try buffer.fill(rgba: $0, alpha: alpha, exif: 1) }
      try assertEqual(Array(buffer.picture().pixels), one.part("expected"), one.id)
    }
  }

  func testOrientation() throws {
    let buffer = PixelBuffer()
    for one in try Vectors.cases("orientation") {
      let picture = try FormulaPicture(one.part("picture"))
      try picture.with { buffer.fill($0, exif: try one.whole("exif")) }
      try assertEqual(Array(buffer.picture().pixels), one.part("expected"), one.id)
    }
  }

  func testCameraFrames() throws {
    let buffer = PixelBuffer()
    for one in try Vectors.cases("yuv") {
      let (height, width) = (try one.whole("height"), try one.whole("width"))
      let seed = UInt32(try one.whole("seed"))
      let lumaRow = try one.part("y").whole("row_stride")
      let chroma = try one.part("chroma")
      let (row, step) = (try chroma.whole("row_stride"), try chroma.whole("pixel_stride"))
      let (rows, columns) = ((height + 1) / 2, (width + 1) / 2)
      let luma = FormulaPicture.noise(seed, count: (height - 1) * lumaRow + width)
      let count = (rows - 1) * row + (columns - 1) * step + 1
      let isInterleaved = step == 2
      let first = FormulaPicture.noise(seed + 1, count: count + (isInterleaved ? 1 : 0))
      let second = FormulaPicture.noise(seed + 2, count: count)
      let isUFirst = try chroma.text("order") == "uv"
      try luma.withUnsafeBytes { y in
        try first.withUnsafeBytes { a in
          try second.withUnsafeBytes { other in
            let b = isInterleaved ? UnsafeRawBufferPointer(rebasing: a[1...]) : other
            let planes = (isUFirst ? [a, b] : [b, a]).map {
              YUVFrame.Plane($0, bytesPerRow: row, pixelStride: step)
            }
            buffer.fill(
              try YUVFrame(
                y: .init(y, bytesPerRow: lumaRow), u: planes[0], v: planes[1], height: height,
                width: width))
          }
        }
      }
      try assertEqual(Array(buffer.picture().pixels), one.part("expected"), one.id)
    }
  }

  func testTables() throws {
    for one in try Vectors.cases("tables") {
      let made = Result {
        try ValueTables(
          ImageInput(one.value("input"), path: "input"),
          InputBinding(one.value("binding"), path: "binding"))
      }
      if one.has("error") {
        XCTAssertThrowsError(try made.get(), one.id) {
          XCTAssertTrue($0 is PhoneproofError, "\(one.id): \($0)")
        }
      } else {
        try assertEqual(made.get().bytes, one.part("expected"), one.id)
      }
    }
  }
}
