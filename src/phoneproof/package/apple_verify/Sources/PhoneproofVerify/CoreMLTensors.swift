#if canImport(CoreML)
  import CoreML
  import CoreVideo
  import Foundation
  import GoldenVectors
  import PhoneproofCore

  /// A tensor as Core ML takes it; a copy.
  func multiArray(of tensor: Tensor) throws -> MLMultiArray {
    let shape = tensor.shape.map { NSNumber(value: $0) }
    let array = try MLMultiArray(shape: shape, dataType: try dataType(of: tensor.type))
    guard rowMajor(array) else { throw VerifyError("Core ML gave an input array with gaps") }
    tensor.bytes.withUnsafeBytes { bytes in
      if let source = bytes.baseAddress {
        array.dataPointer.copyMemory(from: source, byteCount: bytes.count)
      }
    }
    return array
  }

  /// What Core ML gives as a dense tensor; a copy. Its own arrays may have gaps between rows.
  func tensor(of array: MLMultiArray) throws -> Tensor {
    let type = try elementType(of: array.dataType)
    let shape = array.shape.map(\.intValue)
    let count = shape.reduce(1, *)
    if rowMajor(array) {
      let bytes = Data(bytes: array.dataPointer, count: count * type.size)
      return try Tensor(type: type, shape: shape, bytes: bytes)
    }
    let strides = array.strides.map(\.intValue)
    var bytes = Data(capacity: count * type.size)
    var place = [Int](repeating: 0, count: shape.count)
    for _ in 0..<count {
      let offset = zip(place, strides).reduce(0) { $0 + $1.0 * $1.1 }
      let source = array.dataPointer.advanced(by: offset * type.size)
      bytes.append(source.assumingMemoryBound(to: UInt8.self), count: type.size)
      for axis in shape.indices.reversed() {
        place[axis] += 1
        if place[axis] < shape[axis] { break }
        place[axis] = 0
      }
    }
    return try Tensor(type: type, shape: shape, bytes: bytes)
  }

  private func rowMajor(_ array: MLMultiArray) -> Bool {
    var expected = 1
    for (size, stride) in zip(array.shape, array.strides).reversed() {
      if size.intValue != 1 && stride.intValue != expected { return false }
      expected *= size.intValue
    }
    return true
  }

  private func dataType(of type: ElementType) throws -> MLMultiArrayDataType {
    switch type {
    case .float32: return .float32
    case .int32: return .int32
    case .float16:
      guard #available(iOS 16.0, macOS 12.0, *) else {
        throw VerifyError("iOS 16 is needed for float16 tensors")
      }
      return .float16
    default: throw VerifyError("Core ML takes no tensor of \(type.rawValue)")
    }
  }

  private func elementType(of type: MLMultiArrayDataType) throws -> ElementType {
    if #available(iOS 16.0, macOS 12.0, *), type == .float16 { return .float16 }
    switch type {
    case .float32: return .float32
    case .int32: return .int32
    default: throw VerifyError("an output has a type that is not handled (\(type.rawValue))")
    }
  }

  /// Pixels as Core ML takes pictures: 32 bits BGRA, or 8 bits gray.
  func pixelBuffer(of input: Input) throws -> CVPixelBuffer {
    guard let pixels = input.pixels else {
      throw VerifyError("the model takes a picture, but the pixels of this contract are no bytes")
    }
    let isGray = input.channels == .gray
    let format = isGray ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
    var made: CVPixelBuffer?
    let attributes = [kCVPixelBufferIOSurfacePropertiesKey as String: [String: Any]()]
    let status = CVPixelBufferCreate(
      nil, input.width, input.height, format, attributes as CFDictionary, &made)
    guard status == kCVReturnSuccess, let buffer = made else {
      throw VerifyError("no pixel buffer of \(input.width) x \(input.height): \(status)")
    }
    CVPixelBufferLockBaseAddress(buffer, [])
    defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
    guard let base = CVPixelBufferGetBaseAddress(buffer) else {
      throw VerifyError("a pixel buffer without memory")
    }
    let target = base.assumingMemoryBound(to: UInt8.self)
    let rowBytes = CVPixelBufferGetBytesPerRow(buffer)
    pixels.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
      for row in 0..<input.height {
        for column in 0..<input.width {
          let from = (row * input.width + column) * input.channels.count
          let to = target + row * rowBytes + column * (isGray ? 1 : 4)
          switch input.channels {
          case .gray:
            to[0] = source[from]
          case .rgb:
            (to[0], to[1], to[2], to[3]) = (source[from + 2], source[from + 1], source[from], 255)
          case .bgr:
            (to[0], to[1], to[2], to[3]) = (source[from], source[from + 1], source[from + 2], 255)
          }
        }
      }
    }
    return buffer
  }
#endif
