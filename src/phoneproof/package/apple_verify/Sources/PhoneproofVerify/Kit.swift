import Foundation
import GoldenVectors

/// The kit: every model of the bundle, measured on this device.
public struct VerifyKit {
  public let payload: Payload
  public var effort = Effort()

  /// The models and vectors that lie in the package.
  public init() throws {
    guard let folder = Bundle.module.url(forResource: "Payload", withExtension: nil) else {
      throw VerifyError("the package has no payload: copy ios/Verify of the bundle again")
    }
    payload = try Payload(folder: folder)
  }

  /// Measures one model and writes `device-results-<id>.json` into `folder`.
  ///
  /// - Throws: `VerifyError` where the model is not the bundle's, or no engine here runs it.
  public func measure(
    _ artifact: KitArtifact, into folder: URL, report: @escaping (String) -> Void = { _ in }
  ) async throws -> (file: URL, results: DeviceResults) {
    let verifier = Verifier(
      payload: payload, device: ThisDevice.facts, effort: effort,
      thermal: { SystemThermalSource().status }, report: report)
    let results = try await verifier.results(of: artifact, with: try engine(for: artifact))
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent("device-results-\(artifact.id).json")
    try results.json().write(to: file, options: .atomic)
    return (file, results)
  }

  /// Whether anything here runs a model, and what.
  public func engine(for artifact: KitArtifact) throws -> Engine {
    let system = ThisDevice.systemVersion
    switch artifact.format {
    case "coreml":
      #if canImport(CoreML)
        return CoreMLEngine(systemVersion: system)
      #else
        throw VerifyError("Core ML is not on this system: run the kit on a Mac or an iPhone")
      #endif
    case "coreai":
      #if canImport(CoreAI)
        guard #available(iOS 27.0, macOS 27.0, *) else {
          throw VerifyError("Core AI needs iOS 27 or macOS 27")
        }
        return CoreAIEngine(systemVersion: system)
      #else
        throw VerifyError("this Xcode knows no Core AI: it comes with the one for iOS 27")
      #endif
    default:
      throw VerifyError("\(artifact.id) is a format that this kit does not run")
    }
  }
}
