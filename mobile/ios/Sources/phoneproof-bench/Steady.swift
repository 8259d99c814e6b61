import Foundation
import PhoneproofCore

/// What a frame costs in memory once everything is prepared.
struct Steady: Encodable {
  /// Calls of `malloc` and its like in one frame, by what was done; nil where nothing counts them:
  /// start the command with the counting library preloaded.
  let allocations: [String: Double]?
  /// How much larger the process was after all frames than after the first hundred.
  let grownKilobytes: Int
  let frames: Int

  static func measured(frames: Int) throws -> Steady {
    Steady(
      allocations: try allocations(), grownKilobytes: try growth(frames), frames: frames)
  }

  private static func allocations() throws -> [String: Double]? {
    var counts: [String: Double] = [:]
    for filter in FramePixels.filters {
      let frame = try FramePixels(filter)
      counts[filter] = try each { try frame.run() }
    }
    let (some, none) = (try HeadDecoding(), try HeadDecoding(hits: false))
    counts["decode"] = try each { try some.run() }
    counts["decode nothing"] = try each { try none.run() }
    // The control: one that is there.
    counts["one"] = each {
      UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16).deallocate()
    }
    return counts.isEmpty ? nil : counts
  }

  /// Allocations of one run of many; nil where nothing counts.
  private static func each(_ run: () throws -> Void) rethrows -> Double? {
    for _ in 0..<3 { try run() }
    guard let before = allocationCount() else { return nil }
    let runs = 50
    for _ in 0..<runs { try run() }
    return Double((allocationCount() ?? 0) - before) / Double(runs)
  }

  private static func growth(_ frames: Int) throws -> Int {
    let (pixels, head) = (try FramePixels(FramePixels.filters[0]), try HeadDecoding())
    func run(_ count: Int) throws {
      for _ in 0..<count {
        try pixels.run()
        try head.run()
      }
    }
    try run(min(100, frames))
    let before = ownKilobytes()
    try run(frames)
    return ownKilobytes() - before
  }

  /// Asked of the counting library, where there is one in this process.
  private static func allocationCount() -> Int? {
    guard let symbol = dlsym(dlopen(nil, RTLD_NOW), "phoneproof_allocations") else { return nil }
    return unsafeBitCast(symbol, to: (@convention(c) () -> Int).self)()
  }

  /// Of its own memory, swapped out or not; the pages of its files come and go.
  private static func ownKilobytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let lines = text.split(separator: "\n").filter {
      $0.hasPrefix("RssAnon:") || $0.hasPrefix("VmSwap:")
    }
    return lines.compactMap { Int($0.filter(\.isNumber)) }.reduce(0, +)
  }
}
