import Foundation
import PhoneproofCore

/// Where the choice of an accelerator is remembered between starts of the app.
public protocol SelectionStore: Sendable {
  func read(_ key: String) -> String?
  /// On disk before this returns, so that it outlives a crash of the next line.
  func write(_ text: String, _ key: String)
}

/// Remembers nothing beyond itself.
public final class MemoryStore: SelectionStore, @unchecked Sendable {
  private let lock = Lock()
  private var texts: [String: String] = [:]

  public init() {}

  public func read(_ key: String) -> String? { lock.held { texts[key] } }
  public func write(_ text: String, _ key: String) { lock.held { texts[key] = text } }
}

/// One small file for each key, in a folder that survives restarts.
public struct FileStore: SelectionStore {
  private let folder: URL

  public init(folder: URL) { self.folder = folder }

  /// In the app's caches: what is lost there is found out again.
  public static var caches: FileStore {
    let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
    let root = caches ?? FileManager.default.temporaryDirectory
    return FileStore(folder: root.appendingPathComponent("phoneproof", isDirectory: true))
  }

  public func read(_ key: String) -> String? {
    guard let data = try? Data(contentsOf: file(key)) else { return nil }
    return String(data: data, encoding: .utf8)
  }

  public func write(_ text: String, _ key: String) {
    // A store that cannot be written costs time at the next start, and nothing else.
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try? Data(text.utf8).write(to: file(key), options: .atomic)
  }

  private func file(_ key: String) -> URL {
    let name = Array(key.utf8).withUnsafeBytes { SHA256.hexDigest(of: $0) }
    return folder.appendingPathComponent("\(name).txt")
  }
}

/// What is known of the accelerators of one model on one device.
struct Remembered {
  /// The one that is being tried: found here at the next start, it took the app with it.
  var pending: String?
  var trials: [Trial] = []

  private static let head = "phoneproof.accelerators/1"

  init(pending: String? = nil, trials: [Trial] = []) {
    self.pending = pending
    self.trials = trials
  }

  /// Whatever cannot be read was never known.
  init(_ text: String?, candidates: [Accelerator]) {
    let lines = (text ?? "").split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == Self.head[...] else { return }
    for line in lines.dropFirst() {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      if fields.count == 2, fields[0] == "pending" { pending = fields[1] }
      guard fields.count == 4, let state = TrialState(rawValue: fields[0]),
        let accelerator = candidates.first(where: { $0.id == fields[1] })
      else { continue }
      trials.append(Trial(accelerator, state, fields[3], medianMs: Double(fields[2])))
    }
  }

  /// One line a fact; tabs apart, since no name holds one.
  var text: String {
    var lines = [Self.head]
    if let pending { lines.append("pending\t\(pending)") }
    for trial in trials {
      let time = trial.medianMs.map { "\($0)" } ?? ""
      let fields = [trial.state.rawValue, trial.accelerator.id, time, oneLine(trial.reason)]
      lines.append(fields.joined(separator: "\t"))
    }
    return lines.joined(separator: "\n")
  }
}
