import PhoneproofCore
import PhotosUI
import SwiftUI
import UIKit
import UniformTypeIdentifiers

/// The system's photo picker. It runs in a process of its own: the app sees the one photo, and
/// needs no permission.
struct PhotoPicker: UIViewControllerRepresentable {
  let picked: @MainActor @Sendable (Result<UIImage, any Error>?) -> Void

  func makeUIViewController(context: Context) -> PHPickerViewController {
    var configuration = PHPickerConfiguration()
    configuration.filter = .images
    // The file as it is: its pixels and its orientation.
    configuration.preferredAssetRepresentationMode = .current
    let picker = PHPickerViewController(configuration: configuration)
    picker.delegate = context.coordinator
    return picker
  }

  func updateUIViewController(_ picker: PHPickerViewController, context: Context) {}

  func makeCoordinator() -> Coordinator { Coordinator(picked: picked) }

  final class Coordinator: NSObject, PHPickerViewControllerDelegate {
    private let picked: @MainActor @Sendable (Result<UIImage, any Error>?) -> Void

    init(picked: @escaping @MainActor @Sendable (Result<UIImage, any Error>?) -> Void) {
      self.picked = picked
    }

    func picker(_ picker: PHPickerViewController, didFinishPicking results: [PHPickerResult]) {
      let picked = picked
      guard let provider = results.first?.itemProvider else {
        Task { @MainActor in picked(nil) }
        return
      }
      provider.loadDataRepresentation(forTypeIdentifier: UTType.image.identifier) { data, error in
        let result = Result { try Self.photo(data, error) }
        Task { @MainActor in picked(result) }
      }
    }

    private nonisolated static func photo(_ data: Data?, _ error: (any Error)?) throws -> UIImage {
      if let image = data.flatMap({ UIImage(data: $0) }) { return image }
      throw PhoneproofError.image(
        .init(
          "the photo cannot be read", found: error?.localizedDescription ?? "no picture",
          nextStep: "pick another one; photos in iCloud need a connection"))
    }
  }
}
