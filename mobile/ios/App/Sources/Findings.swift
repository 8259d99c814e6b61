import CoreVideo
import Phoneproof
import PhoneproofCore
import UIKit

/// What a model found in one picture.
struct Findings: Sendable {
  enum Kind: Sendable {
    case boxes([Detection])
    case labels([Classification])
    case outputs([RawOutput])
  }

  let kind: Kind
  /// Of the upright picture, in pixels.
  let size: CGSize
  /// What of it the model saw.
  let region: CGRect
  /// From the picture to the results.
  let milliseconds: Double

  /// - Parameter fill: puts the upright picture into the buffer it is given.
  init(of model: VisionModel, _ fill: (PixelBuffer) throws -> Void) throws {
    var picture = Size(height: 0, width: 0)
    func filled(_ buffer: PixelBuffer) throws {
      try fill(buffer)
      picture = Size(height: buffer.height, width: buffer.width)
    }
    let clock = SystemClock()
    let start = clock.now
    switch model.contract.task {
    case .detect: kind = .boxes(try model.detect(filled))
    case .classify: kind = .labels(try model.classify(filled))
    case .raw: kind = .outputs(try model.raw(filled))
    }
    milliseconds = Double(clock.now - start) / 1e6
    let plan = try GeometryPlan(
      model.contract.input, height: picture.height, width: picture.width)
    size = CGSize(width: picture.width, height: picture.height)
    region = CGRect(
      x: plan.visible.left, y: plan.visible.top, width: plan.visible.width,
      height: plan.visible.height)
  }

  /// Of a photo, its orientation heeded; the caller is not blocked.
  static func of(_ photo: UIImage, by model: VisionModel) async throws -> Findings {
    try await model.asynchronously { model in
      guard let pixels = photo.cgImage else {
        throw PhoneproofError.image(
          .init("the photo has no pixels", found: "", nextStep: "pick another one"))
      }
      return try Findings(of: model) {
        try $0.fill(pixels, model.contract.input, exif: photo.exifOrientation)
      }
    }
  }

  /// Of a camera frame, on the thread that calls.
  static func of(_ frame: CVPixelBuffer, exif: Int, by model: VisionModel) throws -> Findings {
    try Findings(of: model) { try $0.fill(frame, exif: exif) }
  }
}
