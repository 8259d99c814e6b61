import AVFoundation
import SwiftUI
import UIKit

/// What the camera shows, whole, in the middle of the frame.
struct CameraPreview: UIViewRepresentable {
  let camera: Camera

  func makeUIView(context: Context) -> PreviewView { PreviewView(camera) }

  func updateUIView(_ view: PreviewView, context: Context) {}
}

final class PreviewView: UIView {
  private let camera: Camera
  private let preview: AVCaptureVideoPreviewLayer

  init(_ camera: Camera) {
    self.camera = camera
    preview = AVCaptureVideoPreviewLayer(session: camera.session)
    super.init(frame: .zero)
    preview.videoGravity = .resizeAspect
    layer.addSublayer(preview)
  }

  @available(*, unavailable)
  required init?(coder: NSCoder) { fatalError("made in code only") }

  /// Called when the device is turned, too.
  override func layoutSubviews() {
    super.layoutSubviews()
    preview.frame = bounds
    guard let orientation = window?.windowScene?.interfaceOrientation else { return }
    // The sensor lies as in landscape with the home button on the right.
    let (shown, exif): (AVCaptureVideoOrientation, Int) =
      switch orientation {
      case .portraitUpsideDown: (.portraitUpsideDown, 8)
      case .landscapeLeft: (.landscapeLeft, 3)
      case .landscapeRight: (.landscapeRight, 1)
      default: (.portrait, 6)
      }
    camera.exif = exif
    preview.connection?.videoOrientation = shown
  }
}
