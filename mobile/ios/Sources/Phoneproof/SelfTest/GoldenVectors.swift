import Foundation
import PhoneproofCore

/// Decodes a picture file and turns it upright where `exif` says so. What is transparent is mixed
/// with the contract's background.
public typealias PictureDecoder =
  @Sendable (_ file: Data, _ input: ImageInput, _ into: PixelBuffer) throws -> Void

/// One golden picture: its input tensor as made on this device, and what was recorded.
public struct GoldenCase: Sendable {
  public let id: String
  /// Its pixels are the same on every platform.
  public let isLossless: Bool
  public let input: GoldenInput
  /// Leads boxes back to the picture.
  public let plan: GeometryPlan
  /// Of the recorded input tensor.
  public let inputSHA256: String

  public init(
    id: String, isLossless: Bool, input: GoldenInput, plan: GeometryPlan, inputSHA256: String
  ) {
    self.id = id
    self.isLossless = isLossless
    self.input = input
    self.plan = plan
    self.inputSHA256 = inputSHA256
  }
}

/// The golden vectors of a bundle (schema `phoneproof.golden/1`) for one model file.
public struct GoldenVectors: Sendable {
  /// SHA-256 of the index.
  public let sha256: String
  public let cases: [GoldenCase]

  public init(sha256: String, cases: [GoldenCase]) {
    self.sha256 = sha256
    self.cases = cases
  }

  /// - Returns: nil where the folder has none of this file.
  /// - Throws: `PhoneproofError.modelFile` where files are missing or altered.
  init?(
    _ folder: ModelFolder, _ contract: Contract, artifact: String, pipeline: PixelPipeline,
    decode: PictureDecoder
  ) throws {
    guard folder.has(GoldenIndex.path) else { return nil }
    let data = try folder.read(GoldenIndex.path)
    let index = try GoldenIndex(data, contract)
    guard let id = index.id(of: artifact) else { return nil }
    let buffer = PixelBuffer()
    cases = try index.cases.compactMap { one in
      guard let own = one.expected.artifacts.first(where: { $0.artifact == id }) else { return nil }
      try decode(GoldenIndex.checked(folder, one.file, one.sha256), contract.input, buffer)
      var input = Data(count: pipeline.byteCount)
      let plan = try input.withUnsafeMutableBytes { try pipeline.fill($0, from: buffer.picture()) }
      return GoldenCase(
        id: one.id, isLossless: one.isLossless,
        input: GoldenInput(input: input, outputs: try own.outputs.map { try $0.values(folder) }),
        plan: plan, inputSHA256: own.input.sha256)
    }
    sha256 = data.withUnsafeBytes { SHA256.hexDigest(of: $0) }
    if cases.isEmpty { return nil }
  }

  /// What accelerators are checked with: inputs that are the same on every platform.
  func check(leastDecibels: Double, most: Int = 2) -> GoldenCheck? {
    let chosen = cases.filter(\.isLossless).prefix(most).map(\.input)
    return chosen.isEmpty ? nil : GoldenCheck(Array(chosen), leastDecibels: leastDecibels)
  }
}
