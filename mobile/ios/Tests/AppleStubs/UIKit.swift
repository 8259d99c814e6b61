// The part of UIKit that the package uses, for type checking on Linux. Nothing here runs.
@_exported import CoreGraphics
import Foundation

public final class UIImage: NSObject, @unchecked Sendable {
  public enum Orientation: Int, Sendable {
    case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
  }
  public var imageOrientation: Orientation { .up }
  public var cgImage: CGImage? { nil }
}
