import Foundation
import PhoneproofCore

@testable import Phoneproof

/// A bundle on disk whose pictures are raw pixels, recorded with the pipeline as it is.
struct GoldenBundle {
  static let model = "artifacts/model.bin"

  let folder: ModelFolder
  let contract: Contract
  let binding: Binding

  static func contractText(
    channels: String = "rgb", filter: String = "opencv.linear",
    scale: String = "0.00392156862745098", anchor: String = "center"
  ) -> String {
    """
    {"name":"n","task":"classify","inputs":[{"channels":"\(channels)","geometry":[{"op":"resize",\
    "to":"contain","size":[32,32],"filter":"\(filter)"},{"op":"pad","size":[32,32],\
    "anchor":"\(anchor)","value":[114,114,114]}],"size":[32,32],"scale":\(scale),\
    "mean":[0.0,0.0,0.0],"std":[1.0,1.0,1.0]}],"labels":["a","b","c"]}
    """
  }

  struct Picture {
    let id: String
    let height: Int
    let width: Int
    let exif: Int
    let flags: [String]

    /// Smooth, as photos are: neighbours are alike and resizing keeps that.
    var file: Data {
      var data = Data("\(height) \(width) \(exif)\n".utf8)
      for y in 0..<height {
        for x in 0..<width {
          data.append(UInt8(x * 255 / width))
          data.append(UInt8(y * 255 / height))
          data.append(UInt8((x * 5 + y * 3) % 256 / 2))
        }
      }
      return data
    }
  }

  /// 46 rows become 29 of 32: a centred picture begins at row 1.
  static let pictures = [
    Picture(id: "landscape-png", height: 46, width: 50, exif: 1, flags: ["lossless"]),
    Picture(
      id: "rotated-png", height: 46, width: 50, exif: 6, flags: ["lossless", "exif_orientation"]),
    Picture(id: "landscape-jpg", height: 46, width: 50, exif: 1, flags: ["jpeg"]),
  ]

  static let decode: PictureDecoder = { file, input, buffer in
    try fill(buffer, file, exif: input.orientation == .exif)
  }

  /// - Parameter change: of the bytes, before they are turned.
  static func fill(
    _ buffer: PixelBuffer, _ file: Data, exif: Bool, change: (inout [UInt8]) -> Void = { _ in }
  ) throws {
    let end = try ended(file.firstIndex(of: 10))
    let numbers = String(decoding: file[..<end], as: UTF8.self).split(separator: " ")
      .compactMap { Int($0) }
    var bytes = [UInt8](file[(end + 1)...])
    change(&bytes)
    try bytes.withUnsafeBytes {
      let picture = try PhoneproofCore.Picture($0, height: numbers[0], width: numbers[1])
      buffer.fill(picture, exif: exif ? numbers[2] : 1)
    }
  }

  private static func ended(_ place: Int?) throws -> Int {
    guard let place else { throw PhoneproofError.image(.init("no picture")) }
    return place
  }

  init() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent(
      "golden-\(UUID().uuidString)")
    folder = ModelFolder(root)
    contract = try Contract(json: Self.contractText().utf8)
    try Self.write(Data("weights".utf8), root, Self.model)
    let sha256 = try ModelFile(root.appendingPathComponent(Self.model), sha256: nil).sha256
    let text = """
      {"artifact":"\(sha256)","contract":"\(contract.sha256)","format":"coreml",\
      "inputs":[{"tensor":"image","shape":[1,3,32,32],"layout":"NCHW"}],\
      "outputs":[{"tensor":"scores","role":"scores","shape":[1,3],"axes":["class"]}]}
      """
    binding = try Binding(json: text.utf8)
    try Self.write(Data(Self.contractText().utf8), root, "contract.json")
    try Self.write(Data(text.utf8), root, "\(Self.model).binding.json")
    let cases = try Self.pictures.map { try recorded($0, root) }
    let index: [String: Any] = [
      "schema": "phoneproof.golden/1", "contract": contract.sha256,
      "artifacts": [["coreml-float32", sha256]], "cases": cases,
    ]
    try Self.write(JSONSerialization.data(withJSONObject: index), root, GoldenIndex.path)
  }

  private func recorded(_ picture: Picture, _ root: URL) throws -> [String: Any] {
    let buffer = PixelBuffer()
    try Self.decode(picture.file, contract.input, buffer)
    try Self.write(picture.file, root, "golden/\(picture.id)")
    let scores: [Float] = [0.125, 0.625, 0.25]
    let outputs = scores.withUnsafeBytes { Data($0) }
    let pixels = try tensor(PixelPipeline(pixelsOf: contract), buffer)
    let input = try tensor(PixelPipeline(contract, binding), buffer)
    return [
      "id": picture.id, "flags": picture.flags, "file": picture.id,
      "sha256": Self.hash(picture.file),
      "expected": [
        "pixels": try described(pixels, "uint8", [32, 32, 3], root, "\(picture.id)-pixels"),
        "artifacts": [
          [
            "artifact": "coreml-float32",
            "input": try described(input, "float32", [1, 3, 32, 32], root, "\(picture.id)-input"),
            "outputs": [
              try described(outputs, "float32", [1, 3], root, "\(picture.id)-scores", "scores")
            ],
            "classes": [
              ["label": 1, "probability": 0.625], ["label": 2, "probability": 0.25],
              ["label": 0, "probability": 0.125],
            ],
          ] as [String: Any]
        ],
      ] as [String: Any],
    ]
  }

  private func tensor(_ pipeline: PixelPipeline, _ buffer: PixelBuffer) throws -> Data {
    var data = Data(count: pipeline.byteCount)
    _ = try data.withUnsafeMutableBytes { try pipeline.fill($0, from: buffer.picture()) }
    return data
  }

  private func described(
    _ data: Data, _ type: String, _ shape: [Int], _ root: URL, _ file: String,
    _ name: String = "tensor"
  ) throws -> [String: Any] {
    try Self.write(data, root, "golden/\(file)")
    return [
      "name": name, "dtype": type, "shape": shape, "sha256": Self.hash(data), "file": file,
      "file_sha256": Self.hash(data), "every": 1,
    ]
  }

  private static func hash(_ data: Data) -> String {
    data.withUnsafeBytes { SHA256.hexDigest(of: $0) }
  }

  static func write(_ data: Data, _ root: URL, _ path: String) throws {
    let url = root.appendingPathComponent(path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: url)
  }
}
