import Phoneproof
import SwiftUI

/// What computes and why, how long it takes, and the self-test.
struct DetailsScreen: View {
  let model: VisionModel
  let folder: ModelFolder
  let path: String
  @StateObject private var measurements = Measurements()
  @State private var sustainedSeconds = 0
  @State private var shared: SharedFile?
  @State private var units: Units?

  private struct Units {
    let inUse: Accelerator?
    let whyNot: [Trial]
  }

  var body: some View {
    List {
      Section("Accelerator") {
        if let units {
          Text(units.inUse?.title ?? "none").font(.headline)
          ForEach(Array(units.whyNot.enumerated()), id: \.offset) { TrialRow(trial: $1) }
        }
      }
      Section("Self-test") {
        Stepper(
          "Sustained run: \(sustainedSeconds) s", value: $sustainedSeconds, in: 0...600, step: 30)
        Button("Run the self-test") {
          Task { await measurements.run(folder, path, sustainedSeconds: sustainedSeconds) }
        }
        .disabled(measurements.isRunning)
        outcome
      }
    }
    .onAppear { units = Units(inUse: model.acceleratorInUse, whyNot: model.whyNot) }
    .sheet(item: $shared) { ShareSheet(file: $0.url) }
  }

  @ViewBuilder
  private var outcome: some View {
    switch measurements.state {
    case .idle: EmptyView()
    case .running: ProgressView("Measuring each accelerator")
    case .failed(let problem): ProblemView(problem)
    case .done(let report):
      ForEach(Array(report.differences.enumerated()), id: \.offset) { Text($1.description) }
      if report.differences.isEmpty {
        Text("Pixels, tensors and results of \(report.pictures) pictures are Python's")
      }
      ForEach(Array(report.results.accelerators.enumerated()), id: \.offset) {
        MeasuredRow(measured: $1)
      }
      Button("Share device-results.json") { shared = SharedFile(url: report.file) }
    }
  }
}

private struct TrialRow: View {
  let trial: Trial

  var body: some View {
    VStack(alignment: .leading) {
      Text("\(trial.accelerator.title): \(trial.state.rawValue)")
      if !trial.reason.isEmpty { Text(trial.reason).font(.caption) }
    }
    .accessibilityElement(children: .combine)
  }
}

private struct MeasuredRow: View {
  let measured: MeasuredAccelerator

  var body: some View {
    VStack(alignment: .leading) {
      Text("\(measured.name): \(measured.state.rawValue)")
      if let latency = measured.latency {
        Text(String(format: "p50 %.1f ms, p95 %.1f ms", latency.p50Ms, latency.p95Ms))
      }
      if let sustained = measured.sustained {
        Text(
          String(
            format: "after %.0f s %.1f ms, at first %.1f ms", sustained.seconds,
            sustained.lastP50Ms, sustained.firstP50Ms))
      }
      if !measured.reason.isEmpty { Text(measured.reason).font(.caption) }
    }
    .accessibilityElement(children: .combine)
  }
}
