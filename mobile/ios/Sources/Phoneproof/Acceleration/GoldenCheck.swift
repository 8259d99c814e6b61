import Foundation
import PhoneproofCore

/// What one output must be: recorded are the elements 0, `every`, 2 * `every`, ...
public struct GoldenOutput: Sendable {
  public let name: String
  public let type: ElementType
  public let every: Int
  /// Little-endian elements.
  public let values: Data

  public init(name: String, type: ElementType, every: Int = 1, values: Data) {
    self.name = name
    self.type = type
    self.every = max(1, every)
    self.values = values
  }

  var count: Int { values.count / type.size }

  /// The elements of an engine's output that were recorded, in the recorded type; nil where the
  /// output is not the one that was recorded.
  func sampled(_ output: OutputTensor) -> Data? {
    guard output.type == type, output.shape.reduce(1, *) * type.size <= output.bytes.count,
      count > 0, (count - 1) * every < output.shape.reduce(1, *),
      count * every >= output.shape.reduce(1, *)
    else { return nil }
    if every == 1 { return Data(output.bytes.prefix(values.count)) }
    var sample = Data(capacity: values.count)
    for index in 0..<count {
      let place = index * every * type.size
      sample.append(contentsOf: output.bytes[place..<place + type.size])
    }
    return sample
  }
}

/// One input tensor with the outputs that were recorded for it when the model was built.
public struct GoldenInput: Sendable {
  public let input: Data
  public let outputs: [GoldenOutput]

  public init(input: Data, outputs: [GoldenOutput]) {
    self.input = input
    self.outputs = outputs
  }
}

/// Tells whether an engine computes the model that was shipped.
public struct GoldenCheck: Sendable {
  public let inputs: [GoldenInput]
  /// Least signal-to-noise ratio of any output, the signal taken about its mean. The default leaves
  /// 10 dB to units that compute in float16: a build demands 45 of its float16 files. Swapped
  /// channels or another resize leave less than 25.
  public let leastDecibels: Double

  public init(_ inputs: [GoldenInput], leastDecibels: Double = 35) {
    self.inputs = inputs
    self.leastDecibels = leastDecibels
  }

  /// Why `outputs` are wrong, in one line; nil where they are right.
  func reason(against golden: GoldenInput, _ outputs: [OutputTensor]) -> String? {
    for expected in golden.outputs {
      guard let output = outputs.first(where: { $0.name == expected.name }) else {
        return "it has no output \(expected.name)"
      }
      guard let values = expected.sampled(output) else {
        return "output \(output.name) is \(output.type.rawValue) \(output.shape)"
      }
      let distance = Distance(of: values, from: expected.values, expected.type)
      if distance.isBroken { return "output \(output.name) holds values that are no numbers" }
      if let decibels = distance.decibels, decibels < leastDecibels {
        let demanded = oneDecimal(leastDecibels)
        return "output \(output.name) is \(oneDecimal(decibels)) dB from the golden values, "
          + "\(demanded) are demanded"
      }
    }
    return nil
  }
}

/// How far recorded values are from others of the same type.
struct Distance {
  /// Nil where a value is not finite and the other one is.
  let maxAbs: Double?
  /// Nil where nothing differs.
  let decibels: Double?

  var isBroken: Bool { maxAbs == nil }

  init(of values: Data, from golden: Data, _ type: ElementType) {
    let now = numbers(values, type)
    let before = numbers(golden, type)
    // An integer may fall on either side of a rounding.
    let free = type == .float32 || type == .float16 ? 0.0 : 1.0
    let finite = before.filter(\.isFinite)
    let mean = finite.reduce(0, +) / Double(max(1, finite.count))
    let signal = finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    var (noise, most) = (0.0, 0.0)
    var isBroken = now.count != before.count
    for (a, b) in zip(now, before) where !(a == b || a.isNaN && b.isNaN) {
      guard a.isFinite, b.isFinite else {
        isBroken = true
        continue
      }
      let apart = abs(a - b)
      most = max(most, apart)
      if apart > free { noise += apart * apart }
    }
    maxAbs = isBroken ? nil : most
    if noise == 0 {
      decibels = nil
    } else {
      decibels = signal > 0 ? 10 * log10(signal / noise) : -.infinity
    }
  }
}

/// `12.3`.
func oneDecimal(_ value: Double) -> String { String(format: "%.1f", value) }

/// Little-endian elements as numbers.
func numbers(_ data: Data, _ type: ElementType) -> [Double] {
  let bytes = [UInt8](data)
  return bytes.withUnsafeBytes { raw in
    (0..<bytes.count / type.size).map { type.number(in: raw, at: $0) }
  }
}
