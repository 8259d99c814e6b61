import Foundation
import PhoneproofCore

/// A model file or folder whose bytes are those that its binding speaks of.
public struct ModelFile: Sendable {
  public let url: URL
  public let sha256: String

  /// - Parameter sha256: what the file must be; nil takes any.
  /// - Throws: `PhoneproofError.modelFile` where it is missing or altered.
  public init(_ url: URL, sha256 expected: String?) throws {
    guard let found = try? TreeHash.hexDigest(of: url) else {
      throw PhoneproofError.modelFile(
        .init(
          "the model file is missing or cannot be read", found: url.path,
          nextStep: "copy the whole bundle into the app, folders as folders"))
    }
    if let expected, found != expected {
      throw PhoneproofError.modelFile(
        .init(
          "the model file \(url.lastPathComponent) is not the one that was built",
          found: "sha256 \(found.prefix(12)), its binding says \(expected.prefix(12))",
          nextStep: "copy model and binding from one bundle; Git LFS pointers, truncated copies "
            + "and models compiled by Xcode look like this"))
    }
    self.url = url
    sha256 = found
  }
}

/// A bundle, laid out as `phoneproof build` leaves it: in the app's resources, or on disk.
public struct ModelFolder: Sendable {
  public let url: URL

  public init(_ url: URL) { self.url = url }

  /// The folder `name` of an app's resources.
  ///
  /// - Throws: `PhoneproofError.modelFile` where there is none.
  public init(_ bundle: Bundle, _ name: String = "phoneproof") throws {
    guard let url = bundle.url(forResource: name, withExtension: nil) else {
      throw PhoneproofError.modelFile(
        .init(
          "the app has no folder \(name)", found: bundle.bundlePath,
          nextStep: "add the bundle to the target as a folder reference (blue, not yellow)"))
    }
    self.url = url
  }

  /// The model files that have a binding beside them, sorted: paths within the folder.
  public func models() -> [String] {
    let suffix = ".binding.json"
    let place = url.appendingPathComponent("artifacts").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
    return names.filter { $0.hasSuffix(suffix) }
      .map { "artifacts/\($0.dropLast(suffix.count))" }.filter(has).sorted()
  }

  func has(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: url.appendingPathComponent(path).path)
  }

  /// - Throws: `PhoneproofError.modelFile` where it is missing, or lies outside of the folder.
  func read(_ path: String) throws -> Data {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !path.hasPrefix("/"), !parts.contains(".."),
      let data = try? Data(contentsOf: url.appendingPathComponent(path))
    else {
      throw PhoneproofError.modelFile(
        .init("a file of the model is missing", found: path, nextStep: "copy the whole bundle"))
    }
    return data
  }
}
