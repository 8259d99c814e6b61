import Foundation
import PhoneproofCore

/// A 1920x1080 frame into YOLO's input: letterbox of 640, table to float32.
final class FramePixels {
  static let filters = ["opencv.linear", "pillow.bilinear"]
  private static let size = Size(height: 1080, width: 1920)

  private let pipeline: PixelPipeline
  private let tensor: UnsafeMutableRawBufferPointer
  private let pixels: UnsafeMutableRawBufferPointer

  init(_ filter: String) throws {
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
    pipeline = try PixelPipeline(contract, binding)
    tensor = .allocate(byteCount: pipeline.byteCount, alignment: 64)
    let size = Self.size
    pixels = .allocate(byteCount: size.height * size.width * 3, alignment: 64)
    for index in pixels.indices {
      pixels[index] = UInt8(truncatingIfNeeded: index &* 2_654_435_761 >> 13)
    }
  }

  deinit {
    tensor.deallocate()
    pixels.deallocate()
  }

  func run() throws {
    let (size, bytes) = (Self.size, UnsafeRawBufferPointer(pixels))
    try pipeline.fill(tensor, from: Picture(bytes, height: size.height, width: size.width))
  }
}

/// YOLOv8n's head, [1, 84, 8400], to boxes: one score in 400 is over the threshold.
final class HeadDecoding {
  private static let (anchors, classes) = (8400, 80)

  private let decoder: Decoder
  private let plan: GeometryPlan
  private let head: UnsafeMutableRawBufferPointer
  private let outputs: [OutputTensor]

  /// - Parameter hits: whether any score is over the threshold.
  init(hits: Bool = true) throws {
    let contract = try Contract(
      json: """
        {"name":"n","task":"detect","inputs":[{"geometry":[{"op":"resize","to":"contain",\
        "size":[640,640]},{"op":"pad","size":[640,640]}],"size":[640,640],\
        "scale":0.00392156862745098,"mean":[0,0,0],"std":[1,1,1]}],\
        "decode":{"confidence":0.25,"nms":{"iou":0.45}}}
        """.utf8)
    let binding = try Binding(
      json: """
        {"contract":"","format":"tflite","inputs":[{"tensor":"i","shape":[1,640,640,3],\
        "layout":"NHWC"}],"outputs":[{"tensor":"o","role":"boxes","shape":[1,84,8400],\
        "axes":["coord","anchor"],"slice":[0,4],"box":{"format":"cxcywh"}},{"tensor":"o",\
        "role":"scores","shape":[1,84,8400],"axes":["class","anchor"],"slice":[4,84]}]}
        """.utf8)
    decoder = try Decoder(contract, binding)
    plan = try GeometryPlan(contract.input, height: 1080, width: 1920)
    let count = (4 + Self.classes) * Self.anchors
    head = .allocate(byteCount: count * 4, alignment: 64)
    let values = head.bindMemory(to: Float.self)
    for index in 0..<count {
      let level = Float(UInt8(truncatingIfNeeded: index &* 2_654_435_761 >> 13))
      let isHit = hits && index % 33_601 == 0
      values[index] = index < 4 * Self.anchors ? level * 2 : isHit ? 0.9 : level / 1200
    }
    outputs = [
      OutputTensor(
        name: "o", type: .float32, shape: [1, 84, Self.anchors], bytes: UnsafeRawBufferPointer(head)
      )
    ]
    guard try found().isEmpty != hits else { throw Unexpected() }
  }

  deinit { head.deallocate() }

  struct Unexpected: Error {}

  func run() throws { _ = try found() }

  private func found() throws -> [Detection] {
    guard case .detections(let found) = try decoder.decode(outputs, plan: plan) else { return [] }
    return found
  }
}
