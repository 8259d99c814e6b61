import Foundation
import PhoneproofCore

/// The models of a bundle with their golden vectors, as they lie in the package.
public struct Payload: Sendable {
  public let folder: URL
  public let kit: Kit
  /// SHA-256 of the golden index.
  public let goldenSHA256: String
  private let recorded: [String: [String: [GoldenTensor]]]

  /// - Throws: `VerifyError` where a document is missing or cannot be read.
  public init(folder: URL) throws {
    self.folder = folder
    kit = try Self.document(Kit.self, Self.content(folder, "kit.json"), "kit.json")
    let data = try Self.content(folder, "golden/index.json")
    let index = try Self.document(GoldenIndex.self, data, "golden/index.json")
    guard index.schema == "phoneproof.golden/1", index.contract == kit.contract else {
      throw VerifyError("the golden vectors are not those of this kit")
    }
    goldenSHA256 = SHA256.hexDigest(of: data)
    var recorded: [String: [String: [GoldenTensor]]] = [:]
    for one in index.cases {
      for outputs in one.expected.artifacts {
        recorded[outputs.artifact, default: [:]][one.id] = outputs.outputs
      }
    }
    self.recorded = recorded
  }

  /// Where the model lies.
  public func model(_ artifact: KitArtifact) throws -> URL {
    try Self.inside(folder, artifact.path)
  }

  /// The golden vectors of one model, in the order of the kit.
  public func vectors(of artifact: KitArtifact) throws -> [Vector] {
    let table = try artifact.input.table.map { try Self.content(folder, $0) }
    return try artifact.cases.map { one in
      guard let outputs = recorded[artifact.id]?[one.id] else {
        throw VerifyError("nothing was recorded of \(artifact.id) on \(one.id)")
      }
      return Vector(
        id: one.id,
        input: try Input(
          spec: artifact.input, table: table,
          pixels: try one.pixels.map { try Self.content(folder, $0) },
          tensor: try one.tensor.map { try Self.content(folder, $0) }),
        outputs: try outputs.map(expected))
    }
  }

  private func expected(_ golden: GoldenTensor) throws -> ExpectedOutput {
    let data = try Self.content(folder, "golden/\(golden.file)")
    guard SHA256.hexDigest(of: data) == golden.fileSHA256 else {
      throw VerifyError("golden/\(golden.file) is not as it was built")
    }
    let count = golden.shape.reduce(1, *)
    let kept = (count + golden.every - 1) / max(1, golden.every)
    guard golden.every >= 1, data.count == kept * golden.dtype.size else {
      throw VerifyError("golden/\(golden.file) does not hold what the index describes")
    }
    return ExpectedOutput(
      name: golden.name, type: golden.dtype, shape: golden.shape, every: golden.every, values: data)
  }

  private static func document<T: Decodable>(_: T.Type, _ data: Data, _ name: String) throws -> T {
    do {
      return try JSONDecoder().decode(T.self, from: data)
    } catch {
      throw VerifyError("\(name) cannot be read: \(error)")
    }
  }

  private static func content(_ folder: URL, _ path: String) throws -> Data {
    let url = try inside(folder, path)
    guard let data = try? Data(contentsOf: url) else { throw VerifyError("\(path) is missing") }
    return data
  }

  /// A path of a document never leads out of the payload.
  private static func inside(_ folder: URL, _ path: String) throws -> URL {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !path.hasPrefix("/"), !parts.contains("..") else {
      throw VerifyError("\(path) lies outside of the kit")
    }
    return folder.appendingPathComponent(path)
  }
}

/// One golden case: what is fed, and what was recorded when the bundle was built.
public struct Vector: Sendable {
  public let id: String
  public let input: Input
  public let outputs: [ExpectedOutput]
}

/// A recorded output: a sample of its elements.
public struct ExpectedOutput: Sendable {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  public let every: Int
  public let values: Data
}
