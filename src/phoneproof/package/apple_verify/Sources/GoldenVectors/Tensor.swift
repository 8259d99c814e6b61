import Foundation
import PhoneproofCore

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
