import Phoneproof
import SwiftUI

/// A model on its way from a file to something that runs. Each accelerator is tried the first time:
/// that takes seconds.
@MainActor
final class OpenedModel: ObservableObject {
  enum State {
    case opening
    case ready(VisionModel)
    case failed(Problem)
  }

  @Published private(set) var state = State.opening

  func open(_ folder: ModelFolder, _ path: String) async {
    guard case .opening = state else { return }
    let opening = Task.detached(priority: .userInitiated) {
      try VisionModel(
        folder, model: path, factory: AppleEngines.of(folder, model: path), decode: imageIODecoder)
    }
    switch await opening.result {
    case .success(let model): state = .ready(model)
    case .failure(let error): state = .failed(Problem(error))
    }
  }
}
