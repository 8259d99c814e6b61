import Foundation
import PhoneproofCore

/// Milliseconds of processor time of 1920x1080 -> 640 letterbox + table to float32, as JSON:
/// `{"opencv.linear": [...], "pillow.bilinear": [...]}`. Processor time, since it says the same on a
/// machine that has other work.
@main
enum Bench {
  static func main() throws {
    let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 30
    var found: [String: [Double]] = [:]
    for filter in ["opencv.linear", "pillow.bilinear"] {
      found[filter] = try times(filter, rounds: rounds)
    }
    let data = try JSONSerialization.data(withJSONObject: found, options: [.sortedKeys])
    print(String(decoding: data, as: UTF8.self))
  }

  private static func times(_ filter: String, rounds: Int) throws -> [Double] {
    let contract = try Contract(
      json: """
        {"name":"n","task":"classify","inputs":[{"geometry":[{"op":"resize","to":"contain",\
        "size":[640,640],"filter":"\(filter)"},{"op":"pad","size":[640,640]}],"size":[640,640],\
        "scale":0.00392156862745098,"mean":[0,0,0],"std":[1,1,1]}]}
        """.utf8)
    let binding = try Binding(
      json: """
        {"contract":"","format":"tflite","inputs":[{"tensor":"i","shape":[1,640,640,3],\
        "layout":"NHWC"}],"outputs":[]}
        """.utf8)
    let pipeline = try PixelPipeline(contract, binding)
    let tensor = UnsafeMutableRawBufferPointer.allocate(
      byteCount: pipeline.byteCount, alignment: 64)
    defer { tensor.deallocate() }
    let pixels = (0..<1080 * 1920 * 3).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
    return try pixels.withUnsafeBytes { raw in
      let picture = try Picture(raw, height: 1080, width: 1920)
      try pipeline.fill(tensor, from: picture)
      return try (0..<rounds).map { _ in
        let start = processorTime()
        try pipeline.fill(tensor, from: picture)
        return processorTime() - start
      }
    }
  }

  /// Milliseconds that this thread has computed.
  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
  }
}
