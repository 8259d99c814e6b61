/// What each pixel value 0..255 becomes, as bits of the input's type. Float: `(p * scale - mean) /
/// std` in float64, rounded once to float32. Whole numbers: `clamp(roundeven(float32 value / scale)
/// + zero_point)` in float64. Where the file normalises, the value is p itself.
public struct ValueTables: Sendable, Equatable {
  /// [channel][256], in the order of the contract's channels.
  let bits: [UInt32]
  let type: ElementType
  let channels: Int

  /// - Throws: `PhoneproofError.binding` or `.unsupported` where the numbers mean nothing.
  public init(_ input: ImageInput, _ binding: InputBinding) throws {
    let storing = try Storing(binding)
    type = binding.type
    channels = input.channelCount
    bits = (0..<channels).flatMap { channel in
      (0..<256).map { value in
        guard !binding.normaliseInFile else { return storing.bits(Float(value)) }
        let real = (Double(value) * input.scale - input.mean[channel]) / input.std[channel]
        return storing.bits(Float(real))
      }
    }
  }

  /// Little-endian, as the golden vectors have them.
  public var bytes: [UInt8] {
    bits.flatMap { bits in
      (0..<type.size).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    }
  }
}

/// Float32 values as the bits of an input's type.
struct Storing {
  let type: ElementType
  private let scale: Double
  private let zeroPoint: Double
  private let lowest: Double
  private let highest: Double

  init(_ binding: InputBinding) throws {
    type = binding.type
    switch type {
    case .uint8: (lowest, highest) = (0, 255)
    case .int8: (lowest, highest) = (-128, 127)
    case .int16: (lowest, highest) = (-32768, 32767)
    case .float32, .float16: (lowest, highest) = (0, 0)
    case .int32, .int64, .bool:
      throw PhoneproofError.unsupported(
        .init(
          "an image input of type \(type.rawValue)", found: "input \(binding.tensor)",
          nextStep: "build the model with float32, float16, uint8, int8 or int16"))
    }
    if let quantization = binding.quantization {
      (scale, zeroPoint) = (quantization.scale, Double(quantization.zeroPoint))
    } else {
      (scale, zeroPoint) = (1, 0)
      let isFloat = type == .float32 || type == .float16
      guard isFloat || (binding.normaliseInFile && type == .uint8) else {
        throw PhoneproofError.binding(
          .init(
            "input \(binding.tensor) is \(type.rawValue) and does not say what its numbers mean",
            found: "quant null", nextStep: Fields.rebuilt))
      }
    }
  }

  func bits(_ real: Float) -> UInt32 {
    switch type {
    case .float32: return real.bitPattern
    case .float16: return UInt32(Half.narrowed(real))
    default:
      let steps = (Double(real) / scale).rounded(.toNearestOrEven) + zeroPoint
      // Not a number only where scale or std are absurd; a conversion would end the app.
      guard !steps.isNaN else { return UInt32(bitPattern: Int32(lowest)) }
      return UInt32(bitPattern: Int32(min(max(steps, lowest), highest)))
    }
  }
}
