// swift-format-ignore-file
// The part of ImageIO that the package uses, for type checking on Linux. Nothing here runs.
import CoreGraphics
import Foundation

public typealias CFString = String
public typealias CFData = NSData
public typealias CFDictionary = NSDictionary

public final class CGImageSource {}
public let kCGImageSourceShouldCache: CFString = "cache"
public let kCGImagePropertyOrientation: CFString = "orientation"

public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource? {
  nil
}

public func CGImageSourceCreateImageAtIndex(
  _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CGImage? { nil }

public func CGImageSourceCopyPropertiesAtIndex(
  _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CFDictionary? { nil }
