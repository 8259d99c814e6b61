import Phoneproof
import SwiftUI
import UIKit

/// A photo, taken or picked, and what the model finds in it.
struct PhotoScreen: View {
  let model: VisionModel
  @State private var photo: UIImage?
  @State private var findings: Findings?
  @State private var problem: Problem?
  @State private var source: PhotoSource?

  var body: some View {
    VStack {
      ScrollView {
        if let photo { picture(photo) }
        if let findings { FindingsList(findings: findings) }
        if let problem { ProblemView(problem) }
        if photo == nil, problem == nil { Text("Pick a photo, or take one.").padding() }
      }
      buttons
    }
    .task(id: photo) { await look() }
    .sheet(item: $source) { source in
      source.picker { picked in
        self.source = nil
        take(picked)
      }
      .ignoresSafeArea()
    }
  }

  private func picture(_ photo: UIImage) -> some View {
    Image(uiImage: photo)
      .resizable()
      .scaledToFit()
      .overlay { if let findings { FindingsOverlay(findings: findings) } }
      .accessibilityLabel("The photo")
  }

  private var buttons: some View {
    HStack {
      ForEach(PhotoSource.available) { one in
        Button(action: { source = one }, label: { Label(one.title, systemImage: one.symbol) })
          .buttonStyle(.bordered)
      }
    }
    .padding()
  }

  private func take(_ picked: Result<UIImage, any Error>?) {
    switch picked {
    case .success(let image): (photo, findings, problem) = (image, nil, nil)
    case .failure(let error): (photo, findings, problem) = (nil, nil, Problem(error))
    case nil: break
    }
  }

  private func look() async {
    guard let photo else { return }
    do {
      let found = try await Findings.of(photo, by: model)
      // Another photo was picked meanwhile.
      guard !Task.isCancelled else { return }
      findings = found
    } catch {
      problem = Problem(error)
    }
  }
}
