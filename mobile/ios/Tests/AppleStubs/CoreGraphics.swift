// swift-format-ignore-file
// The part of Core Graphics that the package uses, for type checking on Linux. Nothing here runs.
import Foundation

public enum CGColorSpaceModel: Int, Sendable { case unknown, monochrome, rgb, cmyk }

public final class CGColorSpace {
  public static let sRGB: NSString = "sRGB"
  public static let genericGrayGamma2_2: NSString = "genericGrayGamma2_2"
  public init?(name: NSString) {}
  public var model: CGColorSpaceModel { .rgb }
  public var name: NSString? { nil }
  public var supportsOutput: Bool { true }
}

public enum CGImageAlphaInfo: UInt32, Sendable {
  case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst
  case alphaOnly
}

public struct CGBitmapInfo: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let byteOrderMask = CGBitmapInfo(rawValue: 0x7000)
  public static let byteOrder32Little = CGBitmapInfo(rawValue: 2 << 12)
  public static let byteOrder32Big = CGBitmapInfo(rawValue: 4 << 12)
}

public final class CGDataProvider {
  public var data: NSData? { nil }
}

public final class CGImage {
  public var height: Int { 0 }
  public var width: Int { 0 }
  public var bitsPerComponent: Int { 8 }
  public var bitsPerPixel: Int { 32 }
  public var bytesPerRow: Int { 0 }
  public var colorSpace: CGColorSpace? { nil }
  public var alphaInfo: CGImageAlphaInfo { .none }
  public var bitmapInfo: CGBitmapInfo { [] }
  public var dataProvider: CGDataProvider? { nil }
}

public final class CGColor {
  public init?(colorSpace: CGColorSpace, components: UnsafePointer<CGFloat>) {}
}

public enum CGInterpolationQuality: Int32, Sendable { case none }

public final class CGContext {
  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
    bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
  ) {}
  public var interpolationQuality = CGInterpolationQuality.none
  public var data: UnsafeMutableRawPointer? { nil }
  public var bytesPerRow: Int { 0 }
  public func setFillColor(_ color: CGColor) {}
  public func fill(_ rect: CGRect) {}
  public func draw(_ image: CGImage, in rect: CGRect) {}
}
