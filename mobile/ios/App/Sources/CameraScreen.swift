import Phoneproof
import SwiftUI

/// The live camera with what the model finds in its frames.
struct CameraScreen: View {
  let model: VisionModel
  @StateObject private var live = LiveFindings()

  var body: some View {
    VStack {
      switch live.state {
      case .starting: ProgressView("Starting the camera")
      case .failed(let problem): ProblemView(problem)
      case .running(let camera): preview(camera)
      }
    }
    .task { await live.start(model) }
    .onDisappear { live.stop() }
  }

  @ViewBuilder
  private func preview(_ camera: Camera) -> some View {
    CameraPreview(camera: camera)
      .overlay { if let findings = live.findings { FindingsOverlay(findings: findings) } }
      .accessibilityLabel("What the camera shows")
    if let findings = live.findings { FindingsList(findings: findings) }
    if let problem = live.problem { ProblemView(problem) }
    if let slowed = live.slowed { Text(slowed).font(.caption) }
  }
}
