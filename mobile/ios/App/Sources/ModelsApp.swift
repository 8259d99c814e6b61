import SwiftUI

@main
struct ModelsApp: App {
  var body: some Scene {
    WindowGroup { ModelList() }
  }
}
