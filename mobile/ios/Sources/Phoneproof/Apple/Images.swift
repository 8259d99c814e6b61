#if canImport(CoreGraphics) && canImport(ImageIO)
  import CoreGraphics
  import Foundation
  import ImageIO
  import PhoneproofCore

  extension PixelBuffer {
    /// Fills the buffer with a picture, its pixels as stored or in sRGB as the contract says.
    ///
    /// - Parameter exif: how the stored pixels must be turned to be upright.
    public func fill(_ image: CGImage, _ input: ImageInput, exif: Int = 1) throws {
      let exif = input.orientation == .exif ? exif : 1
      if try fillDirectly(image, input, exif) { return }
      try fillDrawn(image, input, exif)
    }

    /// The bytes as they were decoded, where they are gray, or red, green, blue and maybe opacity
    /// that is not premultiplied.
    private func fillDirectly(_ image: CGImage, _ input: ImageInput, _ exif: Int) throws -> Bool {
      guard image.bitsPerComponent == 8,
        input.colorProfile == .asStored || Self.needsNoProfile(image),
        let layout = Self.layout(of: image), let data = image.dataProvider?.data as Data?
      else { return false }
      return try data.withUnsafeBytes { bytes in
        let picture = try Picture(
          bytes, height: image.height, width: image.width, bytesPerRow: image.bytesPerRow,
          layout: layout)
        let hasAlpha = image.alphaInfo == .last || image.alphaInfo == .first
        if hasAlpha {
          try fill(rgba: picture, alpha: input.alpha, exif: exif)
        } else {
          fill(picture, exif: exif)
        }
        return true
      }
    }

    /// Whether its values are sRGB's already. Files without a profile are given one of these two
    /// spaces; drawing would move their grays, which Python leaves as they are.
    private static func needsNoProfile(_ image: CGImage) -> Bool {
      let name = image.colorSpace?.name
      return name == CGColorSpace.sRGB || name == CGColorSpace.genericGrayGamma2_2
    }

    private static func layout(of image: CGImage) -> Picture.Layout? {
      let order = image.bitmapInfo.intersection(.byteOrderMask)
      let isGray = image.colorSpace?.model == .monochrome
      guard isGray || image.colorSpace?.model == .rgb else { return nil }
      switch (image.bitsPerPixel, image.alphaInfo, order) {
      case (8, .none, []) where isGray:
        return Picture.Layout(red: 0, green: 0, blue: 0, bytesPerPixel: 1)
      case _ where isGray: return nil
      case (24, .none, []): return .rgb
      case (32, .noneSkipLast, []), (32, .last, []): return .rgba
      case (32, .noneSkipLast, .byteOrder32Big), (32, .last, .byteOrder32Big): return .rgba
      case (32, .noneSkipFirst, .byteOrder32Little), (32, .first, .byteOrder32Little): return .bgra
      default: return nil
      }
    }

    /// CMYK, 16 bits, premultiplied opacity or another colour space: drawn by Core Graphics.
    private func fillDrawn(_ image: CGImage, _ input: ImageInput, _ exif: Int) throws {
      let (height, width) = (image.height, image.width)
      let own = image.colorSpace.flatMap { $0.model == .rgb && $0.supportsOutput ? $0 : nil }
      let asStored = input.colorProfile == .asStored ? own : nil
      guard let space = asStored ?? CGColorSpace(name: CGColorSpace.sRGB),
        let context = CGContext(
          data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: width * 4,
          space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
      else {
        throw PhoneproofError.image(
          .init(
            "the picture cannot be drawn", found: "\(height)x\(width), \(image.bitsPerPixel) bits",
            nextStep: "give a picture of 8 bits a channel"))
      }
      let bounds = CGRect(x: 0, y: 0, width: width, height: height)
      if case .background(let red, let green, let blue) = input.alpha {
        let parts = [red, green, blue].map { CGFloat($0) / 255 } + [1]
        if let color = CGColor(colorSpace: space, components: parts) {
          context.setFillColor(color)
          context.fill(bounds)
        }
      }
      context.interpolationQuality = .none
      context.draw(image, in: bounds)
      let bytes = UnsafeRawBufferPointer(start: context.data, count: context.bytesPerRow * height)
      fill(
        try Picture(
          bytes, height: height, width: width, bytesPerRow: context.bytesPerRow, layout: .rgba),
        exif: exif)
    }

    /// Fills the buffer with a picture file, turned as its EXIF orientation says.
    public func fill(file: Data, _ input: ImageInput) throws {
      guard let source = CGImageSourceCreateWithData(file as CFData, nil),
        let image = CGImageSourceCreateImageAtIndex(
          source, 0, [kCGImageSourceShouldCache: false] as CFDictionary)
      else {
        throw PhoneproofError.image(
          .init(
            "the file is not a picture that can be read", found: "\(file.count) bytes",
            nextStep: "give a JPEG, PNG or HEIC file that is whole"))
      }
      let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
      let exif = properties?[kCGImagePropertyOrientation] as? Int ?? 1
      try fill(image, input, exif: exif)
    }
  }

  /// Reads picture files with ImageIO.
  public let imageIODecoder: PictureDecoder = { file, input, buffer in
    try buffer.fill(file: file, input)
  }

  extension VisionModel {
    /// Detections of a picture.
    public func detect(_ image: CGImage, exif: Int = 1) throws -> [Detection] {
      try detect { try $0.fill(image, contract.input, exif: exif) }
    }

    /// Classes of a picture.
    public func classify(_ image: CGImage, exif: Int = 1) throws -> [Classification] {
      try classify { try $0.fill(image, contract.input, exif: exif) }
    }

    /// Detections of a picture, without blocking the caller.
    public func detect(_ image: CGImage, exif: Int = 1) async throws -> [Detection] {
      let handed = Handed(value: image)
      return try await asynchronously { model in
        try model.detect { try $0.fill(handed.value, model.contract.input, exif: exif) }
      }
    }

    /// Classes of a picture, without blocking the caller.
    public func classify(_ image: CGImage, exif: Int = 1) async throws -> [Classification] {
      let handed = Handed(value: image)
      return try await asynchronously { model in
        try model.classify { try $0.fill(handed.value, model.contract.input, exif: exif) }
      }
    }
  }

  #if canImport(CoreML)
    extension VisionModel {
      /// A Core ML model of a bundle.
      ///
      /// - Parameter path: the file within it, `artifacts/model_float16.mlpackage` say.
      public convenience init(
        _ folder: ModelFolder, coreML path: String,
        options: VisionModelOptions = VisionModelOptions()
      ) throws {
        let contract = try Contract(json: folder.read("contract.json"))
        let binding = try Binding(json: folder.read("\(path).binding.json"))
        try self.init(
          folder, model: path, factory: CoreMLEngines(contract, binding), decode: imageIODecoder,
          options: options)
      }
    }
  #endif
#endif
#if canImport(UIKit) && canImport(CoreGraphics)
  import PhoneproofCore
  import UIKit

  extension UIImage {
    /// The EXIF number of the orientation.
    public var exifOrientation: Int {
      switch imageOrientation {
      case .up: return 1
      case .upMirrored: return 2
      case .down: return 3
      case .downMirrored: return 4
      case .leftMirrored: return 5
      case .right: return 6
      case .rightMirrored: return 7
      case .left: return 8
      @unknown default: return 1
      }
    }

    fileprivate func pixels() throws -> CGImage {
      guard let cgImage else {
        throw PhoneproofError.image(
          .init(
            "the picture has no pixels of its own", found: "a UIImage without cgImage",
            nextStep: "render it into a bitmap first (UIGraphicsImageRenderer)"))
      }
      return cgImage
    }
  }

  extension VisionModel {
    /// Detections of a picture, its orientation heeded; boxes are those of the upright picture.
    public func detect(_ image: UIImage) throws -> [Detection] {
      try detect(image.pixels(), exif: image.exifOrientation)
    }

    /// Classes of a picture, its orientation heeded.
    public func classify(_ image: UIImage) throws -> [Classification] {
      try classify(image.pixels(), exif: image.exifOrientation)
    }

    /// Detections of a picture, without blocking the caller.
    public func detect(_ image: UIImage) async throws -> [Detection] {
      try await detect(image.pixels(), exif: image.exifOrientation)
    }

    /// Classes of a picture, without blocking the caller.
    public func classify(_ image: UIImage) async throws -> [Classification] {
      try await classify(image.pixels(), exif: image.exifOrientation)
    }
  }
#endif
