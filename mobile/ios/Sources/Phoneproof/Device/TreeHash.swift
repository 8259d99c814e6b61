import Foundation
import PhoneproofCore

/// The address of an artifact: the SHA-256 of a file, or of a folder's sorted lines
/// `path NUL sha256 LF`, where paths are relative, with forward slashes, and sorted by component.
public enum TreeHash {
  private static let block = 1 << 20

  public static func hexDigest(of url: URL) throws -> String {
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
    var lines = Data()
    for path in try files(in: url) {
      lines.append(Data("\(path)\0\(try file(url.appendingPathComponent(path)))\n".utf8))
    }
    return SHA256.hexDigest(of: lines)
  }

  /// Relative paths of all files, hidden ones included.
  private static func files(in url: URL) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: url.path)
      .filter { path in
        var isFolder: ObjCBool = false
        let full = url.appendingPathComponent(path).path
        return FileManager.default.fileExists(atPath: full, isDirectory: &isFolder)
          && !isFolder.boolValue
      }
      .map { path in (path: path, parts: path.split(separator: "/").map { Array($0.utf8) }) }
      .sorted { one, other in
        one.parts.lexicographicallyPrecedes(other.parts) { $0.lexicographicallyPrecedes($1) }
      }
      .map(\.path)
  }
}

extension SHA256 {
  /// The digest of a file's content.
  public static func hexDigest(of data: Data) -> String {
    data.withUnsafeBytes { hexDigest(of: $0) }
  }
}
