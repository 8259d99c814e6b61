import Phoneproof
import SwiftUI

/// The models that the app carries.
struct ModelList: View {
  private let folder = Result { try ModelFolder(.main) }

  var body: some View {
    NavigationView {
      Group {
        switch folder {
        case .success(let folder): list(folder)
        case .failure(let error): ProblemView(Problem(error))
        }
      }
      .navigationTitle("Models")
    }
    .navigationViewStyle(.stack)
  }

  private func list(_ folder: ModelFolder) -> some View {
    List(folder.models(), id: \.self) { path in
      NavigationLink(modelTitle(path)) { ModelScreen(folder: folder, path: path) }
        .accessibilityHint("Opens the model")
    }
  }
}

/// `model_float16.mlpackage` of `artifacts/model_float16.mlpackage`.
func modelTitle(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }
