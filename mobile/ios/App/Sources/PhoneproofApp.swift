import SwiftUI

@main
struct PhoneproofApp: App {
  var body: some Scene {
    WindowGroup { ModelList() }
  }
}
