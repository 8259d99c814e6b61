extension ElementType {
  /// Element `index` of little-endian memory as a number.
  public func number(in bytes: UnsafeRawBufferPointer, at index: Int) -> Double {
    let place = index * size
    switch self {
    case .uint8, .bool: return Double(bytes[place])
    case .int8: return Double(Int8(bitPattern: bytes[place]))
    case .int16: return Double(bytes.loadUnaligned(fromByteOffset: place, as: Int16.self))
    case .int32: return Double(bytes.loadUnaligned(fromByteOffset: place, as: Int32.self))
    case .int64: return Double(bytes.loadUnaligned(fromByteOffset: place, as: Int64.self))
    case .float32: return Double(bytes.loadUnaligned(fromByteOffset: place, as: Float.self))
    case .float16:
      return Double(Half.widened(bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
    }
  }
}
