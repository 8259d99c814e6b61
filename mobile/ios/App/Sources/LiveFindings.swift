import Phoneproof
import SwiftUI

/// What the screen of the live camera shows.
@MainActor
final class LiveFindings: ObservableObject {
  enum State {
    case starting
    case running(Camera)
    case failed(Problem)
  }

  @Published private(set) var state = State.starting
  @Published private(set) var findings: Findings?
  /// Of the last frame.
  @Published private(set) var problem: Problem?
  /// Why there are fewer frames than usual.
  @Published private(set) var slowed: String?

  func start(_ model: VisionModel) async {
    do {
      let camera = try await Camera(model) { [weak self] event in
        Task { @MainActor [weak self] in self?.take(event) }
      }
      // The screen may be gone by now.
      guard !Task.isCancelled else { return }
      camera.start()
      state = .running(camera)
    } catch {
      state = .failed(Problem(error))
    }
  }

  func stop() {
    if case .running(let camera) = state { camera.stop() }
    (state, findings, problem) = (.starting, nil, nil)
  }

  private func take(_ event: Camera.Event) {
    switch event {
    case .frame(.success(let found)): (findings, problem) = (found, nil)
    case .frame(.failure(let error)): (findings, problem) = (nil, Problem(error))
    case .thermal(let state): slowed = words(state)
    }
  }

  private func words(_ state: ThermalState) -> String? {
    let isUsual = state.status == .nominal && !state.isSlowed
    guard !isUsual else { return nil }
    let reason = state.isSlowed ? "the model has become slower" : "heat: \(state.status.rawValue)"
    return "At most \(Int(state.framesPerSecond)) frames a second, \(reason)"
  }
}
