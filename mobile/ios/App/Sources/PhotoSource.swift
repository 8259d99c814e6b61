import SwiftUI
import UIKit

/// Where photos come from.
enum PhotoSource: String, Identifiable {
  case library, camera

  var id: String { rawValue }

  @MainActor
  static var available: [PhotoSource] {
    UIImagePickerController.isSourceTypeAvailable(.camera) ? [.library, .camera] : [.library]
  }

  var title: String { self == .library ? "Pick a photo" : "Take a photo" }
  var symbol: String { self == .library ? "photo.on.rectangle" : "camera" }

  /// - Parameter picked: nil where nothing was chosen.
  @MainActor
  @ViewBuilder
  func picker(
    _ picked: @escaping @MainActor @Sendable (Result<UIImage, any Error>?) -> Void
  ) -> some View {
    switch self {
    case .library: PhotoPicker(picked: picked)
    case .camera: PhotoTaker(picked: picked)
    }
  }
}
