import Phoneproof
import SwiftUI

/// One model: photos, the live camera, and what is known of it on this device.
struct ModelScreen: View {
  let folder: ModelFolder
  let path: String
  @StateObject private var opened = OpenedModel()

  var body: some View {
    Group {
      switch opened.state {
      case .opening: ProgressView("Trying the accelerators of this device")
      case .failed(let problem): ProblemView(problem)
      case .ready(let model): tabs(model)
      }
    }
    .navigationTitle(modelTitle(path))
    .navigationBarTitleDisplayMode(.inline)
    .task { await opened.open(folder, path) }
  }

  private func tabs(_ model: VisionModel) -> some View {
    TabView {
      PhotoScreen(model: model).tabItem { Label("Photo", systemImage: "photo") }
      CameraScreen(model: model).tabItem { Label("Camera", systemImage: "camera") }
      DetailsScreen(model: model, folder: folder, path: path)
        .tabItem { Label("Details", systemImage: "speedometer") }
    }
  }
}
