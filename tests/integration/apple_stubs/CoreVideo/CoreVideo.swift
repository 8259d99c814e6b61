// swift-format-ignore-file
// The part of CoreVideo that the kit uses, for type checking and replaying on Linux.
import Foundation

public typealias CVReturn = Int32
public typealias OSType = UInt32

public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_OneComponent8: OSType = 8
public let kCVPixelFormatType_32BGRA: OSType = 32
public let kCVPixelBufferIOSurfacePropertiesKey = "IOSurfaceProperties"

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

public typealias CFDictionary = NSDictionary

public final class CVPixelBuffer {
  public let width: Int
  public let height: Int
  public let bytesPerRow: Int
  public let channels: Int
  public let memory: UnsafeMutableRawPointer

  init(width: Int, height: Int, channels: Int) {
    self.width = width
    self.height = height
    self.channels = channels
    // Rows of real pixel buffers end with a gap.
    bytesPerRow = width * channels + 16
    memory = .allocate(byteCount: bytesPerRow * height, alignment: 16)
  }

  deinit { memory.deallocate() }
}

public func CVPixelBufferCreate(
  _ allocator: AnyObject?, _ width: Int, _ height: Int, _ format: OSType,
  _ attributes: CFDictionary?, _ buffer: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
  let channels = format == kCVPixelFormatType_OneComponent8 ? 1 : 4
  buffer.pointee = CVPixelBuffer(width: width, height: height, channels: channels)
  return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferLockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> CVReturn { kCVReturnSuccess }

@discardableResult
public func CVPixelBufferUnlockBaseAddress(
  _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> CVReturn { kCVReturnSuccess }

public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
  buffer.memory
}

public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { buffer.bytesPerRow }
