import Foundation
import PhoneproofCore

/// A tensor of this device beside the recorded one, element by element where those were kept.
struct ComparedTensor {
  private let now: [Double]
  private let expected: [Double]
  private let every: Int
  private let layout: InputBinding.Layout
  private let size: Size
  private let channels: Int

  /// This part of the values must agree with an explanation; what is clipped or padded may not.
  private static let most = 0.97
  /// A mean distance, in parts of the recorded range, up to which the picture is the same one,
  /// resampled otherwise: 24 of 255.
  private static let resampled = 24.0 / 255

  /// - Throws: `PhoneproofError.modelFile` where the recorded elements are not those of this input.
  init(
    _ tensor: [UInt8], _ binding: InputBinding, with golden: GoldenOutput, _ input: ImageInput
  ) throws {
    now = tensor.withUnsafeBytes { raw in
      (0..<tensor.count / binding.type.size).map { binding.type.number(in: raw, at: $0) }
    }
    expected = numbers(golden.values, golden.type)
    every = golden.every
    (layout, size, channels) = (binding.layout, input.size, input.channelCount)
    guard golden.type == binding.type, !expected.isEmpty, (expected.count - 1) * every < now.count
    else {
      throw GoldenIndex.unfit(
        "the golden input is not one of this model", "\(expected.count) elements")
    }
  }

  private var distances: [Double] {
    expected.indices.map { abs(now[$0 * every] - expected[$0]) }
  }

  /// How much differs, in one line.
  var found: String {
    let distances = distances
    let mean = distances.reduce(0, +) / Double(distances.count)
    return String(
      format: "%d of %d values differ, by %.4g on average and %.4g at most",
      distances.filter { $0 != 0 }.count, distances.count, mean, distances.max() ?? 0)
  }

  /// Why pixels differ.
  var pixelCause: String {
    if channels == 3, share({ ($0, $1, 2 - $2) }) >= Self.most {
      return "red and blue are swapped"
    }
    for down in -1...1 {
      for right in -1...1 where (down, right) != (0, 0) {
        if share({ ($0 + down, $1 + right, $2) }) >= Self.most {
          return "crop or padding is off by \(abs(down)) rows and \(abs(right)) columns"
        }
      }
    }
    let mean = distances.reduce(0, +) / Double(distances.count)
    let range = (expected.max() ?? 0) - (expected.min() ?? 0)
    return mean <= range * Self.resampled
      ? "another resize (a filter of another library, or other rounding of sizes)"
      : "another geometry (turn, crop, padding), or another picture"
  }

  /// Why values differ although the pixels were equal.
  var valueCause: String {
    let pairs = expected.indices.map { (now: now[$0 * every], before: expected[$0]) }
    let count = Double(pairs.count)
    let means = pairs.reduce((0.0, 0.0)) { ($0.0 + $1.now / count, $0.1 + $1.before / count) }
    let (both, alone) = pairs.reduce((0.0, 0.0)) { sums, pair in
      let before = pair.before - means.1
      return (sums.0 + before * (pair.now - means.0), sums.1 + before * before)
    }
    guard alone > 0 else { return Self.otherValues }
    let gain = both / alone
    let offset = means.0 - gain * means.1
    let near = (alone / count).squareRoot() * 1e-3
    let fits = pairs.filter { abs($0.now - ($0.before * gain + offset)) <= near }.count
    guard Double(fits) >= count * Self.most else { return Self.otherValues }
    return String(
      format: "scale, mean or std: values are %.5f times what they should be, %+.5f "
        + "(255/256 is %.5f)", gain, offset, 255.0 / 256)
  }

  private static let otherValues =
    "scale, mean, std or quantization, or the order of the tensor's axes"

  /// The share of the values that would be right if they lay elsewhere (row, column, channel).
  private func share(_ elsewhere: (Int, Int, Int) -> (Int, Int, Int)) -> Double {
    var (inside, equal) = (0, 0)
    for sample in expected.indices {
      let (y, x, colour) = place(sample * every)
      let (row, column, channel) = elsewhere(y, x, colour)
      guard (0..<size.height).contains(row), (0..<size.width).contains(column) else { continue }
      inside += 1
      if now[index(row, column, channel)] == expected[sample] { equal += 1 }
    }
    return inside == 0 ? 0 : Double(equal) / Double(inside)
  }

  private func place(_ index: Int) -> (Int, Int, Int) {
    switch layout {
    case .channelsLast:
      let pixel = index / channels
      return (pixel / size.width, pixel % size.width, index % channels)
    case .channelsFirst:
      let pixel = index % (size.height * size.width)
      return (pixel / size.width, pixel % size.width, index / (size.height * size.width))
    }
  }

  private func index(_ row: Int, _ column: Int, _ channel: Int) -> Int {
    let pixel = row * size.width + column
    switch layout {
    case .channelsLast: return pixel * channels + channel
    case .channelsFirst: return channel * size.height * size.width + pixel
    }
  }
}

/// Results beside the recorded ones.
enum ComparedResults {
  private static let nearScore = 1e-6
  /// Pixels.
  private static let nearBox = 1e-4

  /// The first thing in which results differ; nil where nothing does.
  static func difference(of results: Results, _ golden: GoldenIndex.Outputs) -> String? {
    switch results {
    case .raw: return nil
    case .classes(let classes):
      guard let expected = golden.classes else { return nil }
      return difference(
        classes.prefix(expected.count).map { ($0.classIndex, Double($0.probability), []) },
        expected.map { ($0.label, $0.probability, []) })
    case .detections(let detections):
      guard let expected = golden.boxes else { return nil }
      return difference(
        detections.map { one in
          let sides = [one.box.x1, one.box.y1, one.box.x2, one.box.y2].map { Double($0) }
          return (one.classIndex, Double(one.score), sides)
        },
        expected.map { ($0.label, $0.score, $0.box) })
    }
  }

  private typealias Result = (label: Int, score: Double, box: [Double])

  private static func difference(_ found: [Result], _ expected: [Result]) -> String? {
    guard found.count == expected.count else {
      return "\(found.count) results instead of \(expected.count)"
    }
    for (place, (now, before)) in zip(found, expected).enumerated() {
      if now.label != before.label {
        return "result \(place) is class \(now.label) instead of \(before.label)"
      }
      // Not a number differs from everything.
      if !(abs(now.score - before.score) <= nearScore) {
        return "result \(place) has score \(now.score) instead of \(before.score)"
      }
      if !zip(now.box, before.box).allSatisfy({ abs($0 - $1) <= nearBox }) {
        return "result \(place) lies at \(now.box) instead of \(before.box)"
      }
    }
    return nil
  }
}
