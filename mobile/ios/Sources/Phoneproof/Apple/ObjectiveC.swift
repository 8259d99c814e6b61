#if canImport(ObjectiveC) && canImport(CoreML) && canImport(ImageIO)
  import CoreGraphics
  import Foundation
  import ObjectiveC
  import PhoneproofCore

  /// A detection or a class, for Objective-C.
  @objc(PHPFinding)
  public final class PHPFinding: NSObject, Sendable {
    @objc public let classIndex: Int
    @objc public let label: String
    /// Of a class its probability.
    @objc public let score: Float
    /// In pixels of the upright picture; `CGRectNull` for a class.
    @objc public let box: CGRect

    init(classIndex: Int, label: String, score: Float, box: CGRect) {
      self.classIndex = classIndex
      self.label = label
      self.score = score
      self.box = box
    }
  }

  /// A Core ML or Core AI model of a bundle, for Objective-C. May be called from any thread.
  @objc(PHPVisionModel)
  public final class PHPVisionModel: NSObject, Sendable {
    private let model: VisionModel

    /// Takes seconds: not on the main thread.
    ///
    /// - Parameters:
    ///   - folder: the bundle, laid out as `phoneproof build` leaves it.
    ///   - path: the file within it, `artifacts/model_float16.mlpackage` say.
    @objc(initWithFolder:model:error:)
    public init(folder: URL, model path: String) throws {
      do {
        let folder = ModelFolder(folder)
        model = try VisionModel(
          folder, model: path, factory: AppleEngines.of(folder, model: path),
          decode: imageIODecoder)
      } catch {
        throw Self.told(error)
      }
    }

    /// What computes now; nil after `close`.
    @objc public var acceleratorInUse: String? { model.acceleratorInUse?.title }

    /// Finds objects or classes, best first, without blocking the caller.
    ///
    /// - Parameters:
    ///   - exif: how the picture must be turned to be upright, 1 to 8 as EXIF numbers them.
    ///   - completion: called on the main queue, with either findings or an error.
    @objc(findInImage:exif:completion:)
    public func find(
      in image: CGImage, exif: Int,
      completion: @escaping @MainActor @Sendable ([PHPFinding]?, (any Error)?) -> Void
    ) {
      let (model, handed) = (model, Handed(value: image))
      Task {
        do {
          let found = try await model.asynchronously {
            try Self.findings($0, handed.value, exif)
          }
          await completion(found, nil)
        } catch {
          await completion(nil, Self.told(error))
        }
      }
    }

    /// Frees the model; later calls complete with an error.
    @objc public func close() { model.close() }

    /// What failed, what was found and what to do next, where Objective-C looks for it.
    private static func told(_ error: any Error) -> NSError {
      guard let problem = (error as? PhoneproofError)?.problem else { return error as NSError }
      return NSError(
        domain: "ai.phoneproof", code: 1,
        userInfo: [
          NSLocalizedDescriptionKey: problem.failed,
          NSLocalizedFailureReasonErrorKey: problem.found,
          NSLocalizedRecoverySuggestionErrorKey: problem.nextStep,
        ])
    }

    private static func findings(
      _ model: VisionModel, _ image: CGImage, _ exif: Int
    ) throws -> [PHPFinding] {
      switch model.contract.task {
      case .detect:
        return try model.detect(image, exif: exif).map { one in
          let (x, y) = (CGFloat(one.box.x1), CGFloat(one.box.y1))
          let box = CGRect(
            x: x, y: y, width: CGFloat(one.box.x2) - x, height: CGFloat(one.box.y2) - y)
          return PHPFinding(
            classIndex: one.classIndex, label: one.label, score: one.score, box: box)
        }
      case .classify:
        return try model.classify(image, exif: exif).map {
          PHPFinding(
            classIndex: $0.classIndex, label: $0.label, score: $0.probability, box: .null)
        }
      case .raw:
        throw PhoneproofError.unsupported(
          .init(
            "a model of task raw has no findings", found: model.contract.name,
            nextStep: "call VisionModel.raw in Swift"))
      }
    }
  }
#endif
