/// A detection before suppression. `box` in tensor pixels.
struct Candidate {
  let row: Int
  let classIndex: Int
  let score: Float
  let box: Box
}

/// Greedy suppression. Its memory is kept for the next picture.
struct Suppression {
  private(set) var kept: [Candidate] = []
  private var areas: [Float] = []

  /// The `limit` best, by score descending; equal scores in the order they come.
  static func bestFirst(_ candidates: inout [Candidate], limit: Int) {
    // Candidates come by row, then class: ties are broken by these, so no stable sort is needed.
    candidates.sort {
      if $0.score != $1.score { return $0.score > $1.score }
      return $0.row != $1.row ? $0.row < $1.row : $0.classIndex < $1.classIndex
    }
    if candidates.count > limit { candidates.removeLast(candidates.count - limit) }
  }

  /// Fills `kept` from candidates that are best first: IoU without +1 in float32, negative sides
  /// count as 0, an empty union has IoU 0. A candidate that no kept one suppresses is kept.
  mutating func keep(of candidates: [Candidate], _ settings: DecodePolicy.NMS) {
    let limit = Float(settings.iou)
    kept.removeAll(keepingCapacity: true)
    areas.removeAll(keepingCapacity: true)
    for one in candidates {
      if kept.count == settings.maxDetections { break }
      let area = Self.area(one.box)
      let isSuppressed = kept.indices.contains { index in
        let other = kept[index]
        guard settings.classAgnostic || other.classIndex == one.classIndex else { return false }
        let inter = Self.intersection(one.box, other.box)
        return inter / (area + areas[index] - inter) > limit
      }
      if !isSuppressed {
        kept.append(one)
        areas.append(area)
      }
    }
  }

  private static func area(_ box: Box) -> Float {
    max(box.x2 - box.x1, 0) * max(box.y2 - box.y1, 0)
  }

  private static func intersection(_ a: Box, _ b: Box) -> Float {
    let width = min(a.x2, b.x2) - max(a.x1, b.x1)
    let height = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(width, 0) * max(height, 0)
  }
}
