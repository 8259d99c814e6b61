// swift-format-ignore-file
// The part of UIKit that the package and the app use, for type checking on Linux. Nothing here runs.
@_exported import CoreGraphics
@_exported import Foundation

public final class UIImage: NSObject, @unchecked Sendable {
  public enum Orientation: Int, Sendable {
    case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
  }
  public init?(data: Data) {}
  public var imageOrientation: Orientation { .up }
  public var cgImage: CGImage? { nil }
}

open class CALayer: NSObject {
  public override init() {}
  open var frame = CGRect.zero
  open func addSublayer(_ layer: CALayer) {}
}

public enum UIInterfaceOrientation: Int, Sendable {
  case unknown, portrait, portraitUpsideDown, landscapeLeft, landscapeRight
}

@MainActor open class UIWindowScene: NSObject {
  open var interfaceOrientation: UIInterfaceOrientation { .unknown }
}

@MainActor open class UIView: NSObject {
  public init(frame: CGRect) {}
  public required init?(coder: NSCoder) { nil }
  open var bounds: CGRect { .zero }
  open var layer: CALayer { CALayer() }
  open var window: UIWindow? { nil }
  open func layoutSubviews() {}
}

@MainActor open class UIWindow: UIView {
  open var windowScene: UIWindowScene? { nil }
}

@MainActor open class UIViewController: NSObject {
  public override init() {}
}

open class UINavigationController: UIViewController {}

@MainActor public protocol UINavigationControllerDelegate: NSObjectProtocol {}

@MainActor public protocol UIImagePickerControllerDelegate: NSObjectProtocol {
  func imagePickerController(
    _ picker: UIImagePickerController,
    didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any])
  func imagePickerControllerDidCancel(_ picker: UIImagePickerController)
}

public final class UIImagePickerController: UINavigationController {
  public enum SourceType: Int, Sendable { case photoLibrary, camera, savedPhotosAlbum }
  public struct InfoKey: Hashable, Sendable {
    let name: String
    public static let originalImage = InfoKey(name: "original")
  }
  public static func isSourceTypeAvailable(_ type: SourceType) -> Bool { false }
  public var sourceType = SourceType.photoLibrary
  public weak var delegate: (any UIImagePickerControllerDelegate & UINavigationControllerDelegate)?
}

public final class UIActivity: NSObject {}

public final class UIActivityViewController: UIViewController {
  public init(activityItems: [Any], applicationActivities: [UIActivity]?) {}
}
