import Foundation
import PhoneproofCore

/// The index of a bundle's golden vectors (schema `phoneproof.golden/1`).
struct GoldenIndex: Decodable {
  let schema: String
  let contract: String
  let artifacts: [[String]]
  let cases: [Case]

  struct Case: Decodable {
    let id: String
    let flags: [String]
    let file: String
    let sha256: String
    let expected: Expected

    /// Its pixels are the same on every platform.
    var isLossless: Bool { flags.contains("lossless") }
  }

  struct Expected: Decodable {
    let pixels: Tensor
    let artifacts: [Outputs]
  }

  struct Outputs: Decodable {
    let artifact: String
    let input: Tensor
    let outputs: [Tensor]
    let classes: [NamedClass]?
    let boxes: [NamedBox]?
  }

  /// The file holds the elements 0, `every`, 2 * `every`, ...; `sha256` is of all elements.
  struct Tensor: Decodable {
    let name: String
    let dtype: String
    let shape: [Int]
    let sha256: String
    let file: String
    let fileSha256: String
    let every: Int
  }

  struct NamedClass: Decodable {
    let label: Int
    let probability: Double
  }

  struct NamedBox: Decodable {
    let box: [Double]
    let score: Double
    let label: Int
  }

  static let path = "golden/index.json"

  /// - Throws: `PhoneproofError.modelFile` where it cannot be read, or is of another contract.
  init(_ data: Data, _ contract: Contract) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let index = try? decoder.decode(GoldenIndex.self, from: data) else {
      throw Self.unfit("the golden index cannot be read", "\(data.count) bytes")
    }
    guard index.schema == "phoneproof.golden/1" else {
      throw Self.unfit(
        "the golden index is of a schema that this version does not read", index.schema)
    }
    guard index.contract == contract.sha256 else {
      throw Self.unfit("the golden vectors are of another contract", index.contract)
    }
    self = index
  }

  /// What the index calls the file of this hash; nil where it has none of it.
  func id(of artifact: String) -> String? {
    artifacts.first { $0.last == artifact }?.first
  }

  /// A file of the golden folder.
  ///
  /// - Throws: `PhoneproofError.modelFile` where it is missing or altered.
  static func checked(_ folder: ModelFolder, _ file: String, _ sha256: String) throws -> Data {
    let data = try folder.read("golden/\(file)")
    guard data.withUnsafeBytes({ SHA256.hexDigest(of: $0) }) == sha256 else {
      throw unfit("the golden file \(file) is not as it was built", "\(data.count) bytes")
    }
    return data
  }

  static func unfit(_ failed: String, _ found: String) -> PhoneproofError {
    .modelFile(
      .init(
        failed, found: found,
        nextStep: "use model and golden folder of one bundle, and the package that belongs to it"))
  }
}

extension GoldenIndex.Tensor {
  /// The recorded elements.
  func values(_ folder: ModelFolder) throws -> GoldenOutput {
    guard let type = ElementType(rawValue: dtype), every >= 1 else {
      throw GoldenIndex.unfit("a golden tensor of an unknown type", dtype)
    }
    let values = try GoldenIndex.checked(folder, file, fileSha256)
    return GoldenOutput(name: name, type: type, every: every, values: values)
  }
}
