import PhoneproofCore
import SwiftUI

/// Boxes, and a shade over what the model does not see, above a picture that fits the same frame.
struct FindingsOverlay: View {
  let findings: Findings

  var body: some View {
    Canvas { context, size in
      let scale = min(size.width / findings.size.width, size.height / findings.size.height)
      let left = (size.width - findings.size.width * scale) / 2
      let top = (size.height - findings.size.height * scale) / 2
      context.translateBy(x: left, y: top)
      context.scaleBy(x: scale, y: scale)
      shade(&context)
      if case .boxes(let boxes) = findings.kind {
        for one in boxes { draw(one, &context, scale) }
      }
    }
    .accessibilityHidden(true)
  }

  private func shade(_ context: inout GraphicsContext) {
    let whole = CGRect(origin: .zero, size: findings.size)
    guard findings.region != whole else { return }
    var outside = Path(whole)
    outside.addRect(findings.region)
    context.fill(
      outside, with: .color(.black.opacity(0.5)), style: FillStyle(eoFill: true))
  }

  private func draw(_ one: Detection, _ context: inout GraphicsContext, _ scale: CGFloat) {
    let (x, y) = (CGFloat(one.box.x1), CGFloat(one.box.y1))
    let box = CGRect(x: x, y: y, width: CGFloat(one.box.x2) - x, height: CGFloat(one.box.y2) - y)
    let color = Color(hue: Double(one.classIndex * 47 % 360) / 360, saturation: 0.9, brightness: 1)
    context.stroke(Path(box), with: .color(color), lineWidth: 2 / scale)
    let words = Text("\(one.label) \(percent(one.score))").font(.system(size: 12 / scale))
    let label = context.resolve(words.foregroundColor(.black))
    let size = label.measure(in: findings.size)
    // Above the box, or inside where there is no room above.
    let place = CGRect(origin: CGPoint(x: x, y: y < size.height ? y : y - size.height), size: size)
    context.fill(Path(place), with: .color(color))
    context.draw(label, in: place)
  }
}

/// `87 %`.
func percent(_ part: Float) -> String { "\(Int((part * 100).rounded())) %" }
