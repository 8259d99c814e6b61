/// A rectangle of a picture.
public struct Region: Sendable, Equatable {
  public let left: Double
  public let top: Double
  public let width: Double
  public let height: Double
}

extension GeometryPlan {
  /// What of the upright picture the model sees: what no crop cuts off, in its pixels.
  public var visible: Region {
    let (left, right) = Self.visible(steps, original.width, isY: false)
    let (top, bottom) = Self.visible(steps, original.height, isY: true)
    return Region(left: left, top: top, width: right - left, height: bottom - top)
  }

  private static func visible(
    _ steps: [Step], _ length: Int, isY: Bool
  ) -> (first: Double, last: Double) {
    var (first, last) = (0.0, Double(length))
    var (gain, offset) = (1.0, 0.0)
    for step in steps {
      switch step {
      case .crop(let crop):
        let start = Double(isY ? crop.top : crop.left)
        let end = start + Double(isY ? crop.height : crop.width)
        first = max(first, (start - offset) / gain)
        last = min(last, (end - offset) / gain)
        offset -= start
      case .resize(let resize):
        let factor = isY ? resize.gainY : resize.gainX
        gain *= factor
        offset *= factor
      case .pad(let pad): offset += Double(isY ? pad.top : pad.left)
      }
    }
    return (first, last)
  }
}
