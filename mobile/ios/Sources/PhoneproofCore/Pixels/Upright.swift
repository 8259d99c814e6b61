/// Decoded pixels of our own: what is turned upright, freed of transparency or made of a camera
/// frame, before it goes to a `PixelPipeline`. The memory is kept for the next picture.
public final class PixelBuffer {
  public private(set) var height = 0
  public private(set) var width = 0
  private var memory = Memory<UInt8>(0)
  /// A camera frame before it is turned.
  private var unturned: PixelBuffer?

  public init() {}

  /// The pixels, red first, three bytes each; valid until the buffer is filled again.
  public func picture() throws -> Picture {
    let bytes = UnsafeRawBufferPointer(start: memory.start, count: height * width * 3)
    return try Picture(bytes, height: height, width: width)
  }

  private func resize(height: Int, width: Int) -> UnsafeMutablePointer<UInt8> {
    (self.height, self.width) = (height, width)
    if memory.count < height * width * 3 { memory = Memory(height * width * 3) }
    return memory.start
  }

  /// Fills the buffer with `picture`, turned as its EXIF orientation says (1 to 8; any other number
  /// is 1, as decoders do).
  public func fill(_ picture: Picture, exif: Int) {
    let turn = Turn(exif: exif, height: picture.height, width: picture.width)
    let out = resize(height: turn.height, width: turn.width)
    let source = Source(picture)
    let (red, green, blue) = source.offsets
    for y in 0..<turn.height {
      var to = out + y * turn.width * 3
      var from =
        source.base + (turn.rowStart + turn.rowPerY * y) * source.rowBytes
        + (turn.columnStart + turn.columnPerY * y) * source.pixelBytes
      let step = turn.rowPerX * source.rowBytes + turn.columnPerX * source.pixelBytes
      for x in 0..<turn.width {
        (to[0], to[1], to[2]) = (from[red], from[green], from[blue])
        to += 3
        // No address outside of the picture is ever formed.
        if x + 1 < turn.width { from += step }
      }
    }
  }

  /// Fills the buffer with red, green, blue and opacity (not premultiplied), freed of the opacity.
  public func fill(rgba picture: Picture, alpha: ImageInput.Alpha, exif: Int) throws {
    guard picture.layout.bytesPerPixel == 4 else {
      throw PhoneproofError.image(
        .init("a picture without opacity", found: "\(picture.layout.bytesPerPixel) bytes a pixel"))
    }
    fill(picture, exif: exif)
    guard case .background(let red, let green, let blue) = alpha else { return }
    let behind = (UInt32(red), UInt32(green), UInt32(blue))
    let turn = Turn(exif: exif, height: picture.height, width: picture.width)
    let base = Source(picture).base
    // The one byte that is no colour.
    let place = 6 - picture.layout.red - picture.layout.green - picture.layout.blue
    for y in 0..<turn.height {
      for x in 0..<turn.width {
        let row = turn.rowStart + turn.rowPerY * y + turn.rowPerX * x
        let column = turn.columnStart + turn.columnPerY * y + turn.columnPerX * x
        let opacity = UInt32(base[row * picture.bytesPerRow + column * 4 + place])
        let to = memory.start + (y * turn.width + x) * 3
        to[0] = Self.mixed(to[0], behind.0, opacity)
        to[1] = Self.mixed(to[1], behind.1, opacity)
        to[2] = Self.mixed(to[2], behind.2, opacity)
      }
    }
  }

  /// `(color * a + background * (255 - a) + 127) / 255` in whole numbers.
  private static func mixed(_ color: UInt8, _ behind: UInt32, _ opacity: UInt32) -> UInt8 {
    UInt8((UInt32(color) * opacity + behind * (255 - opacity) + 127) / 255)
  }

  /// Fills the buffer with a camera frame: BT.601, full range, chroma of pixel (y, x) at
  /// (y / 2, x / 2), in whole numbers.
  public func fill(_ frame: YUVFrame) {
    let out = resize(height: frame.height, width: frame.width)
    // A checked frame has memory in all planes.
    let luma = frame.y.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let blue = frame.u.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let red = frame.v.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    for y in 0..<frame.height {
      var to = out + y * frame.width * 3
      let bright = luma + y * frame.y.bytesPerRow
      let us = blue + y / 2 * frame.u.bytesPerRow
      let vs = red + y / 2 * frame.v.bytesPerRow
      for x in 0..<frame.width {
        let value = Int32(bright[x &* frame.y.pixelStride])
        let d = Int32(us[(x &>> 1) &* frame.u.pixelStride]) &- 128
        let e = Int32(vs[(x &>> 1) &* frame.v.pixelStride]) &- 128
        to[0] = Self.byte(value &+ (91881 &* e &+ 32768) &>> 16)
        to[1] = Self.byte(value &+ (-22553 &* d &- 46802 &* e &+ 32768) &>> 16)
        to[2] = Self.byte(value &+ (116130 &* d &+ 32768) &>> 16)
        to += 3
      }
    }
  }

  /// The same, turned as an EXIF orientation says.
  public func fill(_ frame: YUVFrame, exif: Int) throws {
    guard exif != 1 else { return fill(frame) }
    let unturned = unturned ?? PixelBuffer()
    self.unturned = unturned
    unturned.fill(frame)
    fill(try unturned.picture(), exif: exif)
  }

  @inline(__always)
  private static func byte(_ value: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(max(value, 0), 255))
  }
}

/// Where the pixels of an upright picture lie in the stored one.
private struct Turn {
  let height: Int
  let width: Int
  let rowStart: Int
  let columnStart: Int
  let rowPerY: Int
  let columnPerY: Int
  let rowPerX: Int
  let columnPerX: Int

  init(exif: Int, height: Int, width: Int) {
    let isTurned = (5...8).contains(exif)
    (self.height, self.width) = isTurned ? (width, height) : (height, width)
    let fromBottom = exif == 3 || exif == 4 || exif == 7 || exif == 8
    let fromRight = exif == 2 || exif == 3 || exif == 6 || exif == 7
    // Stored rows become columns where the picture is turned by a quarter.
    let rowsFlip = isTurned ? (exif == 6 || exif == 7) : fromBottom
    let columnsFlip = isTurned ? (exif == 7 || exif == 8) : fromRight
    rowStart = rowsFlip ? height - 1 : 0
    columnStart = columnsFlip ? width - 1 : 0
    let (rowStep, columnStep) = (rowsFlip ? -1 : 1, columnsFlip ? -1 : 1)
    (rowPerY, columnPerY) = isTurned ? (0, columnStep) : (rowStep, 0)
    (rowPerX, columnPerX) = isTurned ? (rowStep, 0) : (0, columnStep)
  }
}

/// A camera frame in YUV 4:2:0, eight bits: I420, NV12 or NV21 by its strides.
public struct YUVFrame {
  public struct Plane {
    public let bytes: UnsafeRawBufferPointer
    public let bytesPerRow: Int
    public let pixelStride: Int

    public init(_ bytes: UnsafeRawBufferPointer, bytesPerRow: Int, pixelStride: Int = 1) {
      self.bytes = bytes
      self.bytesPerRow = bytesPerRow
      self.pixelStride = pixelStride
    }

    fileprivate func holds(rows: Int, columns: Int) -> Bool {
      let row = (columns - 1) * pixelStride
      return pixelStride >= 1 && bytesPerRow <= 1 << 20 && pixelStride <= 16
        && (rows == 1 || bytesPerRow > row) && bytesPerRow >= 0
        && bytes.count > (rows - 1) * bytesPerRow + row
    }
  }

  public let y: Plane
  public let u: Plane
  public let v: Plane
  public let height: Int
  public let width: Int

  /// - Throws: `PhoneproofError.image` where a plane is not what its strides say.
  public init(y: Plane, u: Plane, v: Plane, height: Int, width: Int) throws {
    guard (1...16384).contains(height), (1...16384).contains(width) else {
      throw PhoneproofError.image(
        .init(
          "a camera frame has sides of 1 to 16384 pixels", found: "\(height)x\(width)",
          nextStep: "check the frame's size"))
    }
    let (rows, columns) = ((height + 1) / 2, (width + 1) / 2)
    guard y.holds(rows: height, columns: width), u.holds(rows: rows, columns: columns),
      v.holds(rows: rows, columns: columns)
    else {
      throw PhoneproofError.image(
        .init(
          "a plane of the frame is not what its strides say",
          found: "\(y.bytes.count), \(u.bytes.count), \(v.bytes.count) bytes",
          nextStep: "give the planes' bytes with the strides the camera named"))
    }
    (self.y, self.u, self.v) = (y, u, v)
    (self.height, self.width) = (height, width)
  }
}
