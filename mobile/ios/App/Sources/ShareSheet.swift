import SwiftUI
import UIKit

struct SharedFile: Identifiable {
  let url: URL
  var id: URL { url }
}

/// The system's sheet for handing a file to somebody else.
struct ShareSheet: UIViewControllerRepresentable {
  let file: URL

  func makeUIViewController(context: Context) -> UIActivityViewController {
    UIActivityViewController(activityItems: [file], applicationActivities: nil)
  }

  func updateUIViewController(_ sheet: UIActivityViewController, context: Context) {}
}
