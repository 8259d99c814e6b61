#if canImport(CoreVideo)
  import CoreVideo
  import PhoneproofCore

  extension PixelBuffer {
    /// Fills the buffer with a camera frame: 32BGRA, or 420 biplanar full range.
    ///
    /// - Parameter exif: how the frame must be turned to be upright (6 for a phone held upright).
    /// - Throws: `PhoneproofError` for other formats.
    public func fill(_ frame: CVPixelBuffer, exif: Int = 1) throws {
      CVPixelBufferLockBaseAddress(frame, .readOnly)
      defer { CVPixelBufferUnlockBaseAddress(frame, .readOnly) }
      let (height, width) = (CVPixelBufferGetHeight(frame), CVPixelBufferGetWidth(frame))
      let format = CVPixelBufferGetPixelFormatType(frame)
      switch format {
      case kCVPixelFormatType_32BGRA:
        let row = CVPixelBufferGetBytesPerRow(frame)
        let bytes = UnsafeRawBufferPointer(
          start: CVPixelBufferGetBaseAddress(frame), count: row * height)
        fill(
          try Picture(bytes, height: height, width: width, bytesPerRow: row, layout: .bgra),
          exif: exif)
      case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange:
        let luma = Self.plane(frame, 0)
        let row = CVPixelBufferGetBytesPerRowOfPlane(frame, 1)
        let chroma = Self.plane(frame, 1)
        let blue = YUVFrame.Plane(chroma, bytesPerRow: row, pixelStride: 2)
        let red = YUVFrame.Plane(
          UnsafeRawBufferPointer(rebasing: chroma.dropFirst()), bytesPerRow: row, pixelStride: 2)
        try fill(
          YUVFrame(
            y: .init(luma, bytesPerRow: CVPixelBufferGetBytesPerRowOfPlane(frame, 0)), u: blue,
            v: red, height: height, width: width), exif: exif)
      default:
        throw PhoneproofError.unsupported(
          .init(
            "a camera frame of this format", found: "pixel format \(format)",
            nextStep: "ask the camera for kCVPixelFormatType_420YpCbCr8BiPlanarFullRange or "
              + "kCVPixelFormatType_32BGRA"))
      }
    }

    private static func plane(_ frame: CVPixelBuffer, _ index: Int) -> UnsafeRawBufferPointer {
      let rows = CVPixelBufferGetHeightOfPlane(frame, index)
      return UnsafeRawBufferPointer(
        start: CVPixelBufferGetBaseAddressOfPlane(frame, index),
        count: rows * CVPixelBufferGetBytesPerRowOfPlane(frame, index))
    }
  }

  /// What is handed to the model's queue and not touched by its sender until the call ends.
  struct Handed<Value>: @unchecked Sendable { let value: Value }

  extension VisionModel {
    /// Detections of a camera frame.
    public func detect(_ frame: CVPixelBuffer, exif: Int = 1) throws -> [Detection] {
      try detect { try $0.fill(frame, exif: exif) }
    }

    /// Classes of a camera frame.
    public func classify(_ frame: CVPixelBuffer, exif: Int = 1) throws -> [Classification] {
      try classify { try $0.fill(frame, exif: exif) }
    }

    /// Detections of a camera frame, which must not be changed until this returns.
    public func detect(_ frame: CVPixelBuffer, exif: Int = 1) async throws -> [Detection] {
      let handed = Handed(value: frame)
      return try await asynchronously { model in
        try model.detect { try $0.fill(handed.value, exif: exif) }
      }
    }

    /// Classes of a camera frame, which must not be changed until this returns.
    public func classify(_ frame: CVPixelBuffer, exif: Int = 1) async throws -> [Classification] {
      let handed = Handed(value: frame)
      return try await asynchronously { model in
        try model.classify { try $0.fill(handed.value, exif: exif) }
      }
    }
  }
#endif
