// swift-format-ignore-file
// The part of AVFoundation that the app uses, for type checking on Linux. Nothing here runs.
@_exported import CoreVideo
import Dispatch
@_exported import Foundation
import UIKit

public let kCVPixelBufferPixelFormatTypeKey = "PixelFormatType"

public final class CMSampleBuffer {}
public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVPixelBuffer? { nil }

public struct AVMediaType: Sendable { public static let video = AVMediaType() }

public final class AVCaptureDevice: NSObject {
  public struct DeviceType: Sendable {
    public static let builtInWideAngleCamera = DeviceType()
  }
  public enum Position: Int, Sendable { case unspecified, back, front }
  public static func requestAccess(for type: AVMediaType) async -> Bool { false }
  public static func `default`(
    _ type: DeviceType, for media: AVMediaType?, position: Position
  ) -> AVCaptureDevice? { nil }
}

open class AVCaptureInput: NSObject {}
open class AVCaptureOutput: NSObject {}

public final class AVCaptureDeviceInput: AVCaptureInput {
  public init(device: AVCaptureDevice) throws {}
}

public enum AVCaptureVideoOrientation: Int, Sendable {
  case portrait, portraitUpsideDown, landscapeRight, landscapeLeft
}

public final class AVCaptureConnection: NSObject {
  public var videoOrientation = AVCaptureVideoOrientation.portrait
}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection)
}

public final class AVCaptureVideoDataOutput: AVCaptureOutput {
  public var videoSettings: [String: Any]! = [:]
  public var alwaysDiscardsLateVideoFrames = true
  public func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) {}
}

public final class AVCaptureSession: NSObject {
  public struct Preset: Sendable { public static let hd1280x720 = Preset() }
  public var sessionPreset = Preset()
  public func beginConfiguration() {}
  public func commitConfiguration() {}
  public func canAddInput(_ input: AVCaptureInput) -> Bool { true }
  public func canAddOutput(_ output: AVCaptureOutput) -> Bool { true }
  public func addInput(_ input: AVCaptureInput) {}
  public func addOutput(_ output: AVCaptureOutput) {}
  public func startRunning() {}
  public func stopRunning() {}
}

public struct AVLayerVideoGravity: Sendable {
  public static let resizeAspect = AVLayerVideoGravity()
}

public final class AVCaptureVideoPreviewLayer: CALayer {
  public init(session: AVCaptureSession) { super.init() }
  public var videoGravity = AVLayerVideoGravity()
  public var connection: AVCaptureConnection? { nil }
}
