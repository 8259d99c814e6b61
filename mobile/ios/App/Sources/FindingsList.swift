import PhoneproofCore
import SwiftUI

/// The results in words.
struct FindingsList: View {
  let findings: Findings
  private static let mostLabels = 3

  var body: some View {
    VStack(alignment: .leading, spacing: 4) {
      switch findings.kind {
      case .boxes(let boxes):
        if boxes.isEmpty { Text("Nothing found") }
        ForEach(Array(boxes.enumerated()), id: \.offset) { row($1.label, $1.score) }
      case .labels(let labels):
        ForEach(Array(labels.prefix(Self.mostLabels).enumerated()), id: \.offset) {
          row($1.label, $1.probability)
        }
      case .outputs(let outputs):
        ForEach(Array(outputs.enumerated()), id: \.offset) { _, output in
          Text("\(output.tensor): \(output.shape.map(String.init).joined(separator: " x "))")
        }
      }
      Text(String(format: "%.1f ms", findings.milliseconds)).font(.caption)
    }
    .padding(.horizontal)
  }

  private func row(_ label: String, _ score: Float) -> some View {
    HStack {
      Text(label)
      Spacer()
      Text(percent(score))
    }
    .accessibilityElement(children: .combine)
  }
}
