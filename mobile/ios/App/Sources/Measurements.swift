import Foundation
import Phoneproof
import SwiftUI

/// Runs the self-test of a model and keeps what came out.
@MainActor
final class Measurements: ObservableObject {
  struct Report: Sendable {
    let pictures: Int
    let differences: [GoldenDifference]
    let results: DeviceResults
    /// `device-results.json`, for `phoneproof verify --results`.
    let file: URL
  }

  enum State {
    case idle
    case running
    case done(Report)
    case failed(Problem)
  }

  @Published private(set) var state = State.idle

  var isRunning: Bool {
    if case .running = state { return true }
    return false
  }

  func run(_ folder: ModelFolder, _ path: String, sustainedSeconds: Int) async {
    guard !isRunning else { return }
    state = .running
    let measuring = Task.detached(priority: .userInitiated) {
      try Self.measure(folder, path, sustainedSeconds)
    }
    switch await measuring.result {
    case .success(let report): state = .done(report)
    case .failure(let error): state = .failed(Problem(error))
    }
  }

  private nonisolated static func measure(
    _ folder: ModelFolder, _ path: String, _ sustainedSeconds: Int
  ) throws -> Report {
    let proof = try GoldenProof(folder, model: path, decode: imageIODecoder)
    var effort = SelfTestEffort()
    effort.sustainedSeconds = Double(sustainedSeconds)
    let results = try SelfTest(
      folder, model: path, factory: AppleEngines.of(folder, model: path), decode: imageIODecoder,
      effort: effort
    ).run()
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("device-results.json")
    try results.json().write(to: file, options: .atomic)
    return Report(
      pictures: proof.pictures.count, differences: try proof.differences(), results: results,
      file: file)
  }
}
