import SwiftUI
import UIKit

/// The system's camera.
struct PhotoTaker: UIViewControllerRepresentable {
  let picked: @MainActor @Sendable (Result<UIImage, any Error>?) -> Void

  func makeUIViewController(context: Context) -> UIImagePickerController {
    let picker = UIImagePickerController()
    picker.sourceType = .camera
    picker.delegate = context.coordinator
    return picker
  }

  func updateUIViewController(_ picker: UIImagePickerController, context: Context) {}

  func makeCoordinator() -> Coordinator { Coordinator(picked: picked) }

  final class Coordinator: NSObject, UIImagePickerControllerDelegate,
    UINavigationControllerDelegate
  {
    private let picked: @MainActor @Sendable (Result<UIImage, any Error>?) -> Void

    init(picked: @escaping @MainActor @Sendable (Result<UIImage, any Error>?) -> Void) {
      self.picked = picked
    }

    func imagePickerController(
      _ picker: UIImagePickerController,
      didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any]
    ) {
      picked((info[.originalImage] as? UIImage).map { .success($0) })
    }

    func imagePickerControllerDidCancel(_ picker: UIImagePickerController) { picked(nil) }
  }
}
