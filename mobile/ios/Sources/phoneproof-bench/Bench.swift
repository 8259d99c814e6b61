import Foundation
import PhoneproofCore

/// `phoneproof-bench speed [ROUNDS]`: milliseconds, `{"opencv.linear": [...], "decode": [...]}`.
/// `phoneproof-bench steady [FRAMES]`: allocations of a frame and kilobytes that it grew by.
///
/// What is measured: 1920x1080 -> 640 letterbox and table to float32 with two filters, and YOLOv8n's
/// head of 8400 x 84 to boxes.
@main
enum Bench {
  static func main() throws {
    let words = CommandLine.arguments.dropFirst()
    let count = words.dropFirst().first.flatMap { Int($0) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let data: Data
    switch words.first {
    case "speed": data = try encoder.encode(speed(rounds: count ?? 30))
    case "steady": data = try encoder.encode(Steady.measured(frames: count ?? 1000))
    default:
      FileHandle.standardError.write(Data("usage: phoneproof-bench speed|steady [COUNT]\n".utf8))
      exit(2)
    }
    print(String(decoding: data, as: UTF8.self))
  }

  private static func speed(rounds: Int) throws -> [String: [Double]] {
    var found: [String: [Double]] = [:]
    for filter in FramePixels.filters {
      let frame = try FramePixels(filter)
      found[filter] = try times(rounds) { try frame.run() }
    }
    let head = try HeadDecoding()
    found["decode"] = try times(rounds) { try head.run() }
    return found
  }

  /// Milliseconds of processor time of this thread, after one run that is not counted: it says the
  /// same on a machine that has other work.
  private static func times(_ rounds: Int, _ work: () throws -> Void) rethrows -> [Double] {
    try work()
    return try (0..<rounds).map { _ in
      let start = processorTime()
      try work()
      return processorTime() - start
    }
  }

  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
  }
}
