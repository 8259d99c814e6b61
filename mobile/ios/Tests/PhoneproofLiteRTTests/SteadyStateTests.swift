import Foundation
import PhoneproofCore
import PhoneproofLiteRT
import XCTest

@testable import Phoneproof

/// Many frames through a model, from pixels to results: the memory stays flat.
/// `PHONEPROOF_FRAMES` says how many; 300 where it does not.
final class SteadyStateTests: XCTestCase {
  private static let warmUp = 100
  /// What the allocator may keep to itself.
  private static let mostKilobytes = 2048

  private var frames: Int {
    ProcessInfo.processInfo.environment["PHONEPROOF_FRAMES"].flatMap(Int.init) ?? 300
  }

  func testManyFramesLeaveNothingBehind() throws {
    let factory = try LiteRtEngines(library: Environment.library())
    for run in try BundleRun.all() {
      let model = try run.open(factory)
      let grown = try Self.growth(frames) { try Self.results(model, $0) }
      print("phoneproof-frames \(run.name) \(frames) grew \(grown) kB")
      XCTAssertLessThan(grown, Self.mostKilobytes, run.name)
    }
  }

  /// The control: frames that are kept are seen.
  func testFramesThatAreKeptAreNoticed() throws {
    let factory = try LiteRtEngines(library: Environment.library())
    let model = try BundleRun.largest().open(factory)
    var kept: [Data] = []
    let grown = try Self.growth(1000) { kept.append(try model.pixelDump($0)) }
    XCTAssertGreaterThan(grown, Self.mostKilobytes)
  }

  private static func results(
    _ model: VisionModel, _ fill: (PixelBuffer) throws -> Void
  ) throws {
    if model.contract.task == .detect {
      _ = try model.detect(fill)
    } else {
      _ = try model.classify(fill)
    }
  }

  /// Kilobytes that the process gained over so many frames of 720p, after some that do not count.
  private static func growth(
    _ frames: Int, _ work: ((PixelBuffer) throws -> Void) throws -> Void
  ) throws -> Int {
    let pixels = (0..<720 * 1280 * 3).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
    func run(_ count: Int) throws {
      for _ in 0..<count {
        try work { buffer in
          try pixels.withUnsafeBytes {
            buffer.fill(try Picture($0, height: 720, width: 1280), exif: 6)
          }
        }
      }
    }
    try run(warmUp)
    let before = try ownKilobytes()
    try run(frames)
    return try ownKilobytes() - before
  }
}

/// Kilobytes of memory that are this process's own, swapped out or not.
func ownKilobytes() throws -> Int {
  let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  let lines = text.split(separator: "\n").filter {
    $0.hasPrefix("RssAnon:") || $0.hasPrefix("VmSwap:")
  }
  return lines.compactMap { Int($0.filter(\.isNumber)) }.reduce(0, +)
}
