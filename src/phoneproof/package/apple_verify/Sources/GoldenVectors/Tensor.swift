import Foundation

/// The element types that golden vectors and inputs have.
public enum ElementType: String, Codable, Sendable {
  case float32, float16, int8, uint8, int16, int32, int64, bool

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .int8, .uint8, .bool: return 1
    case .float16, .int16: return 2
    case .float32, .int32: return 4
    case .int64: return 8
    }
  }
}

/// A dense tensor: little-endian values in row-major order.
public struct Tensor: Sendable {
  public let type: ElementType
  public let shape: [Int]
  public let bytes: Data

  public init(type: ElementType, shape: [Int], bytes: Data) throws {
    guard shape.allSatisfy({ $0 >= 0 }), bytes.count == shape.reduce(type.size, *) else {
      throw VerifyError("\(bytes.count) bytes are no \(type.rawValue) tensor of shape \(shape)")
    }
    self.type = type
    self.shape = shape
    self.bytes = bytes
  }

  public var count: Int { shape.reduce(1, *) }

  /// The same numbers as another type. Only between floating-point types: there is no telling what
  /// an integer that was not asked for means.
  public func converted(to other: ElementType) throws -> Tensor {
    switch (type, other) {
    case _ where type == other:
      return self
    case (.float16, .float32):
      return try Tensor(
        type: other, shape: shape,
        bytes: elements(as: UInt16.self).map(Half.widened).littleEndianBytes)
    case (.float32, .float16):
      return try Tensor(
        type: other, shape: shape,
        bytes: elements(as: Float.self).map(Half.narrowed).littleEndianBytes)
    default:
      throw VerifyError("the model gives \(type.rawValue), recorded was \(other.rawValue)")
    }
  }

  /// The elements 0, `step`, 2 * `step`, ... of the flattened tensor.
  public func sampled(every step: Int) -> Data {
    guard step > 1 else { return bytes }
    var sample = Data(capacity: (count / step + 1) * type.size)
    for start in Swift.stride(from: 0, to: bytes.count, by: step * type.size) {
      sample.append(bytes[bytes.startIndex + start..<bytes.startIndex + start + type.size])
    }
    return sample
  }
}

/// IEEE 754 half precision as bits: `Float16` does not exist on Intel Macs.
public enum Half {
  /// Exact.
  public static func widened(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1f)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default:
      return sign * (1 + fraction / 1024)
        * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
  }

  /// Rounded to nearest, ties to even.
  public static func narrowed(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = value.magnitude
    if value.isNaN { return sign | 0x7e00 }
    if magnitude >= 65520 { return sign | 0x7c00 }
    if magnitude < 0x1p-14 {
      return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven))
    }
    let exponent = Int(magnitude.exponent)
    let scaled = magnitude * Float(sign: .plus, exponent: 10 - exponent, significand: 1)
    let rounded = UInt16(scaled.rounded(.toNearestOrEven)) - 1024
    return sign | (UInt16(exponent + 15) << 10) + rounded
  }
}

extension Tensor {
  /// The elements as a type of the same size.
  public func elements<Element>(as type: Element.Type) -> [Element] {
    GoldenVectors.elements(of: bytes, as: type)
  }
}

/// Little-endian bytes as elements. All systems that this runs on are little-endian.
func elements<Element>(of bytes: Data, as type: Element.Type) -> [Element] {
  let count = bytes.count / MemoryLayout<Element>.size
  return [Element](unsafeUninitializedCapacity: count) { buffer, filled in
    _ = bytes.copyBytes(to: UnsafeMutableRawBufferPointer(buffer))
    filled = count
  }
}

extension Array {
  /// The memory of trivial elements.
  public var littleEndianBytes: Data { withUnsafeBytes { Data($0) } }
}
