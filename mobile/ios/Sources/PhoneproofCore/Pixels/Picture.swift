/// Decoded pixels in memory of somebody else, valid as long as that memory is. Upright: what EXIF
/// or a camera says of the orientation is applied before (`Orientation`).
public struct Picture {
  /// Where the colours lie within a pixel.
  public struct Layout: Sendable, Equatable {
    public let red: Int
    public let green: Int
    public let blue: Int
    public let bytesPerPixel: Int

    public init(red: Int, green: Int, blue: Int, bytesPerPixel: Int) {
      self.red = red
      self.green = green
      self.blue = blue
      self.bytesPerPixel = bytesPerPixel
    }

    public static let rgb = Layout(red: 0, green: 1, blue: 2, bytesPerPixel: 3)
    public static let rgba = Layout(red: 0, green: 1, blue: 2, bytesPerPixel: 4)
    public static let bgra = Layout(red: 2, green: 1, blue: 0, bytesPerPixel: 4)
  }

  public let pixels: UnsafeRawBufferPointer
  public let height: Int
  public let width: Int
  public let bytesPerRow: Int
  public let layout: Layout

  /// Larger pictures are refused, as everywhere in the project.
  public static let mostPixels = 89_478_485

  /// - Throws: `PhoneproofError.image` where the memory does not hold such a picture.
  public init(
    _ pixels: UnsafeRawBufferPointer, height: Int, width: Int, bytesPerRow: Int? = nil,
    layout: Layout = .rgb
  ) throws {
    guard height > 0, width > 0 else {
      throw PhoneproofError.image(
        .init(
          "a picture without pixels", found: "\(height)x\(width)",
          nextStep: "check what the picture was decoded or cropped from"))
    }
    guard height <= Self.mostPixels, width <= Self.mostPixels, height * width <= Self.mostPixels
    else {
      throw PhoneproofError.image(
        .init(
          "the picture is too large", found: "\(height)x\(width)",
          nextStep: "at most \(Self.mostPixels) pixels are taken; scale the picture down"))
    }
    let row = width * layout.bytesPerPixel
    let bytesPerRow = bytesPerRow ?? row
    let colours = [layout.red, layout.green, layout.blue]
    guard bytesPerRow >= row, colours.allSatisfy({ (0..<layout.bytesPerPixel).contains($0) }),
      bytesPerRow <= Int.max / height, pixels.count >= (height - 1) * bytesPerRow + row
    else {
      throw PhoneproofError.image(
        .init(
          "the memory does not hold the picture",
          found: "\(pixels.count) bytes for \(height) rows of \(bytesPerRow)",
          nextStep: "give the whole plane and its real bytes per row"))
    }
    self.pixels = pixels
    self.height = height
    self.width = width
    self.bytesPerRow = bytesPerRow
    self.layout = layout
  }
}

/// What a filter reads: one or three bytes a pixel, somewhere in a picture.
struct Source {
  var base: UnsafePointer<UInt8>
  var height: Int
  var width: Int
  var rowBytes: Int
  var pixelBytes: Int
  var offsets: (Int, Int, Int)
  var channels: Int

  init(_ picture: Picture) {
    // A picture has at least one pixel, so its memory has an address.
    base = picture.pixels.baseAddress!.assumingMemoryBound(to: UInt8.self)
    height = picture.height
    width = picture.width
    rowBytes = picture.bytesPerRow
    pixelBytes = picture.layout.bytesPerPixel
    offsets = (picture.layout.red, picture.layout.green, picture.layout.blue)
    channels = 3
  }

  /// Dense pixels of our own.
  init(_ memory: UnsafePointer<UInt8>, _ size: Size, channels: Int) {
    base = memory
    height = size.height
    width = size.width
    rowBytes = size.width * channels
    pixelBytes = channels
    offsets = (0, 1, 2)
    self.channels = channels
  }

  func cropped(_ step: GeometryPlan.CropStep) -> Source {
    var part = self
    part.base += step.top * rowBytes + step.left * pixelBytes
    part.height = step.height
    part.width = step.width
    return part
  }
}

/// Memory that lives as long as its owner; not initialised.
final class Memory<Element: BitwiseCopyable> {
  let start: UnsafeMutablePointer<Element>
  let count: Int

  init(_ count: Int) {
    self.count = count
    start = .allocate(capacity: max(1, count))
  }

  convenience init(_ values: [Element]) {
    self.init(values.count)
    values.withUnsafeBufferPointer { buffer in
      if let from = buffer.baseAddress { start.update(from: from, count: buffer.count) }
    }
  }

  deinit { start.deallocate() }
}
