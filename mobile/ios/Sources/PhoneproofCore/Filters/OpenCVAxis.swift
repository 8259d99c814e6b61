/// Where OpenCV 5.0.0 samples one axis. `inverse = target / source` and `scale = 1 / inverse` in
/// float64, which may differ from `source / target` in the last bit.
enum OpenCVAxis {
  /// The source index a target pixel starts from, and the way to the next.
  struct Sample {
    let index: Int
    let fraction: Float
  }

  static func scale(_ source: Int, _ target: Int) -> Double {
    1.0 / (Double(target) / Double(source))
  }

  static func nearest(_ source: Int, _ target: Int) -> [Int] {
    let scale = scale(source, target)
    return (0..<target).map { min(Int((Double($0) * scale).rounded(.down)), source - 1) }
  }

  /// Half-pixel centres, rounded to float32 before they are split.
  static func centred(_ source: Int, _ target: Int) -> [Sample] {
    let scale = scale(source, target)
    return (0..<target).map { x in
      let position = Float((Double(x) + 0.5) * scale - 0.5)
      let floor = position.rounded(.down)
      return Sample(index: Int(floor), fraction: position - floor)
    }
  }

  /// Positions of area where it does not shrink both axes: pixels stay sharp, edges blend.
  static func sharp(_ source: Int, _ target: Int) -> [Sample] {
    let scale = scale(source, target)
    let inverse = Double(target) / Double(source)
    return (0..<target).map { x in
      let index = (Double(x) * scale).rounded(.down)
      let fraction = Float((Double(x) + 1) - (index + 1) * inverse)
      return Sample(
        index: Int(index), fraction: fraction <= 0 ? 0 : fraction - fraction.rounded(.down))
    }
  }

  /// A weight in 2048ths, halves to even.
  static func elevenBits(_ weight: Float) -> Int32 {
    Int32((weight * 2048).rounded(.toNearestOrEven))
  }
}
