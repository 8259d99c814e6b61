import Phoneproof
import PhoneproofCore
import SwiftUI

/// What went wrong, as the library says it: what failed, what was found, what to do next.
struct Problem: Sendable, Equatable {
  let failed: String
  let found: String
  let nextStep: String

  init(_ error: any Error) {
    let problem = (error as? PhoneproofError)?.problem
    failed = problem?.failed ?? error.localizedDescription
    found = problem?.found ?? ""
    nextStep = problem?.nextStep ?? ""
  }
}

struct ProblemView: View {
  private let problem: Problem

  init(_ problem: Problem) { self.problem = problem }

  var body: some View {
    VStack(alignment: .leading, spacing: 8) {
      Label(problem.failed, systemImage: "exclamationmark.triangle").font(.headline)
      if !problem.found.isEmpty { Text("Found: \(problem.found)") }
      if !problem.nextStep.isEmpty { Text("Next: \(problem.nextStep)") }
    }
    .padding()
    .accessibilityElement(children: .combine)
  }
}
