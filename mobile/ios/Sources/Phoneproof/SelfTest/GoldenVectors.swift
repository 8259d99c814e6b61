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

  private struct Index: Decodable {
    let schema: String
    let contract: String
    let artifacts: [[String]]
    let cases: [One]
  }

  private struct One: Decodable {
    let id: String
    let flags: [String]
    let file: String
    let sha256: String
    let expected: Expected
  }

  private struct Expected: Decodable { let artifacts: [Outputs] }

  private struct Outputs: Decodable {
    let artifact: String
    let input: Tensor
    let outputs: [Tensor]
  }

  private struct Tensor: Decodable {
    let name: String
    let dtype: String
    let sha256: String
    let file: String
    let fileSha256: String
    let every: Int
  }

  /// - Returns: nil where the folder has none of this file.
  /// - Throws: `PhoneproofError.modelFile` where files are missing or altered.
  init?(
    _ folder: ModelFolder, _ contract: Contract, artifact: String, pipeline: PixelPipeline,
    decode: PictureDecoder
  ) throws {
    guard folder.has("golden/index.json") else { return nil }
    let data = try folder.read("golden/index.json")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let index = try? decoder.decode(Index.self, from: data) else {
      throw Self.unfit("the golden index cannot be read", "\(data.count) bytes")
    }
    guard index.schema == "phoneproof.golden/1" else {
      throw Self.unfit(
        "the golden index is of a schema that this version does not read", index.schema)
    }
    guard index.contract == contract.sha256 else {
      throw Self.unfit("the golden vectors are of another contract", index.contract)
    }
    guard let id = index.artifacts.first(where: { $0.last == artifact })?.first else { return nil }
    let buffer = PixelBuffer()
    cases = try index.cases.compactMap { one in
      guard let own = one.expected.artifacts.first(where: { $0.artifact == id }) else { return nil }
      try decode(Self.checked(folder, one.file, one.sha256), contract.input, buffer)
      var input = Data(count: pipeline.byteCount)
      let plan = try input.withUnsafeMutableBytes { try pipeline.fill($0, from: buffer.picture()) }
      let outputs = try own.outputs.map { try Self.output($0, folder) }
      return GoldenCase(
        id: one.id, isLossless: one.flags.contains("lossless"),
        input: GoldenInput(input: input, outputs: outputs), plan: plan,
        inputSHA256: own.input.sha256)
    }
    sha256 = data.withUnsafeBytes { SHA256.hexDigest(of: $0) }
    if cases.isEmpty { return nil }
  }

  private static func output(_ tensor: Tensor, _ folder: ModelFolder) throws -> GoldenOutput {
    guard let type = ElementType(rawValue: tensor.dtype), tensor.every >= 1 else {
      throw unfit("a golden tensor of an unknown type", tensor.dtype)
    }
    let values = try checked(folder, tensor.file, tensor.fileSha256)
    return GoldenOutput(name: tensor.name, type: type, every: tensor.every, values: values)
  }

  private static func checked(
    _ folder: ModelFolder, _ file: String, _ sha256: String
  ) throws -> Data {
    let data = try folder.read("golden/\(file)")
    guard data.withUnsafeBytes({ SHA256.hexDigest(of: $0) }) == sha256 else {
      throw unfit("the golden file \(file) is not as it was built", "\(data.count) bytes")
    }
    return data
  }

  private static func unfit(_ failed: String, _ found: String) -> PhoneproofError {
    .modelFile(
      .init(
        failed, found: found,
        nextStep: "use model and golden folder of one bundle, and the "
          + "package that belongs to it"))
  }

  /// What accelerators are checked with: inputs that are the same on every platform.
  func check(leastDecibels: Double, most: Int = 2) -> GoldenCheck? {
    let chosen = cases.filter(\.isLossless).prefix(most).map(\.input)
    return chosen.isEmpty ? nil : GoldenCheck(Array(chosen), leastDecibels: leastDecibels)
  }
}
