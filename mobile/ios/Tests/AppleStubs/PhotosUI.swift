// swift-format-ignore-file
// The part of PhotosUI that the app uses, for type checking on Linux. Nothing here runs.
@_exported import UIKit

public final class NSItemProvider: NSObject {
  @discardableResult
  public func loadDataRepresentation(
    forTypeIdentifier type: String,
    completionHandler: @escaping @Sendable (Data?, (any Error)?) -> Void
  ) -> Progress { Progress(totalUnitCount: 1) }
}

public struct PHPickerFilter: Sendable { public static let images = PHPickerFilter() }

public struct PHPickerConfiguration {
  public enum AssetRepresentationMode: Int, Sendable { case automatic, current, compatible }
  public var preferredAssetRepresentationMode = AssetRepresentationMode.automatic
  public init() {}
  public var filter: PHPickerFilter?
}

public struct PHPickerResult { public var itemProvider: NSItemProvider { NSItemProvider() } }

// Not isolated here; the app fits an isolated one, too.
public protocol PHPickerViewControllerDelegate: AnyObject {
  func picker(_ picker: PHPickerViewController, didFinishPicking results: [PHPickerResult])
}

public final class PHPickerViewController: UIViewController {
  public init(configuration: PHPickerConfiguration) {}
  public weak var delegate: (any PHPickerViewControllerDelegate)?
}
