@preconcurrency import AVFoundation
import Phoneproof
import PhoneproofCore

/// The back camera and the model that looks at its frames. Everything happens on one queue, but for
/// the preview, which shows the session.
final class Camera: NSObject, @unchecked Sendable {
  enum Event: Sendable {
    case frame(Result<Findings, any Error>)
    case thermal(ThermalState)
  }

  let session = AVCaptureSession()
  private let model: VisionModel
  private let governor: ThermalGovernor
  private let report: @Sendable (Event) -> Void
  private let clock = SystemClock()
  private let queue = DispatchQueue(label: "phoneproof camera")
  private let lock = Lock()
  private var turn = 1

  /// How the sensor's frames must be turned to be upright, as an EXIF number.
  var exif: Int {
    get { lock.held { turn } }
    set { lock.held { turn = newValue } }
  }

  /// - Throws: `PhoneproofError` where there is no camera, or it may not be used.
  init(_ model: VisionModel, report: @escaping @Sendable (Event) -> Void) async throws {
    self.model = model
    self.report = report
    governor = ThermalGovernor(SystemThermalSource()) { report(.thermal($0)) }
    super.init()
    guard await AVCaptureDevice.requestAccess(for: .video) else {
      throw Self.unusable("the app may not use the camera", "allow it in Settings")
    }
    try prepare()
  }

  private static func unusable(_ failed: String, _ nextStep: String) -> PhoneproofError {
    .unsupported(.init(failed, nextStep: nextStep))
  }

  private func prepare() throws {
    guard
      let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back)
    else {
      throw Self.unusable("there is no camera", "use an iPhone or iPad; a simulator has none")
    }
    let input = try AVCaptureDeviceInput(device: device)
    let output = AVCaptureVideoDataOutput()
    output.videoSettings = [
      kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
    ]
    // Frames that come while the model computes are dropped.
    output.alwaysDiscardsLateVideoFrames = true
    output.setSampleBufferDelegate(self, queue: queue)
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    session.sessionPreset = .hd1280x720
    guard session.canAddInput(input), session.canAddOutput(output) else {
      throw Self.unusable("the camera gives no frames", "close other apps that use it")
    }
    session.addInput(input)
    session.addOutput(output)
  }

  func start() { queue.async { self.session.startRunning() } }

  func stop() { queue.async { self.session.stopRunning() } }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
    from connection: AVCaptureConnection
  ) {
    let start = clock.now
    guard governor.admits(start), let frame = CMSampleBufferGetImageBuffer(sampleBuffer) else {
      return
    }
    report(.frame(Result { try Findings.of(frame, exif: exif, by: model) }))
    governor.ran(clock.now - start)
  }
}
