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

/// SHA-256 of a file, or of a folder's sorted `path NUL sha256` lines (`phoneproof.core.artifact`).
enum TreeHash {
  private static let block = 1 << 20

  static func hexDigest(of url: URL) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      throw CocoaError(.fileNoSuchFile)
    }
    return isFolder.boolValue ? try folder(url) : try file(url)
  }

  private static func file(_ url: URL) throws -> String {
    let handle = try FileHandle(forReadingFrom: url)
    defer { try? handle.close() }
    var hash = SHA256()
    while let data = try handle.read(upToCount: block), !data.isEmpty {
      data.withUnsafeBytes { hash.update($0) }
    }
    return hash.hexDigest()
  }

  private static func folder(_ url: URL) throws -> String {
    let root = url.resolvingSymlinksInPath().path + "/"
    let found = FileManager.default.enumerator(
      at: url, includingPropertiesForKeys: [.isRegularFileKey])
    var lines: [(path: String, line: String)] = []
    while let one = found?.nextObject() as? URL {
      guard try one.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else {
        continue
      }
      let path = String(one.resolvingSymlinksInPath().path.dropFirst(root.count))
      lines.append((path, "\(path)\u{0}\(try file(one))\n"))
    }
    // Sorted as Python sorts paths: part by part.
    lines.sort {
      $0.path.split(separator: "/").map { Array($0.unicodeScalars.map(\.value)) }
        .lexicographicallyPrecedes(
          $1.path.split(separator: "/").map { Array($0.unicodeScalars.map(\.value)) },
          by: { $0.lexicographicallyPrecedes($1) })
    }
    return Array(lines.map(\.line).joined().utf8).withUnsafeBytes { SHA256.hexDigest(of: $0) }
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
