#if canImport(SwiftUI)
  import Foundation
  import GoldenVectors
  import SwiftUI

  /// Everything an iPhone app needs to run the kit: one button, what was seen, the files to share.
  public struct VerifyView: View {
    @State private var lines: [String] = []
    @State private var files: [URL] = []
    @State private var isRunning = false

    public init() {}

    public var body: some View {
      VStack(alignment: .leading, spacing: 12) {
        Button(isRunning ? "Measuring …" : "Measure") { run() }.disabled(isRunning)
        if !files.isEmpty {
          Text("In the app's Documents folder:").font(.headline)
          ForEach(files, id: \.self) { Text($0.lastPathComponent).textSelection(.enabled) }
        }
        ScrollView {
          ForEach(lines.indices, id: \.self) { Text(lines[$0]).font(.footnote) }
        }
      }
      .padding()
    }

    private func run() {
      isRunning = true
      Task.detached {
        let documents = FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]
        do {
          let kit = try VerifyKit()
          for artifact in kit.payload.kit.artifacts {
            do {
              let made = try await kit.measure(artifact, into: documents) { line in
                Task { await show(line) }
              }
              await add(made.file)
            } catch {
              await show("\(artifact.id): \(error)")
            }
          }
        } catch {
          await show("\(error)")
        }
        await finish()
      }
    }

    @MainActor private func show(_ line: String) { lines.append(line) }

    @MainActor private func add(_ file: URL) { files.append(file) }

    @MainActor private func finish() { isRunning = false }
  }
#endif
