// Runs the golden proof of a bundle where no picture can be decoded: the pixels come from Python.
// prove FOLDER DECODED: DECODED holds a file for each picture, named by its SHA-256.
import Foundation
import Phoneproof
import PhoneproofCore

let folder = ModelFolder(URL(fileURLWithPath: CommandLine.arguments[1]))
let decoded = CommandLine.arguments[2]

let decode: PictureDecoder = { file, _, buffer in
  let name = file.withUnsafeBytes { SHA256.hexDigest(of: $0) }
  let raw = try Data(contentsOf: URL(fileURLWithPath: "\(decoded)/\(name)"))
  // Height and width as 32 bits each, then red, green and blue of each pixel.
  let sides = raw.withUnsafeBytes { bytes in
    (0..<2).map { Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
  }
  try raw.dropFirst(8).withUnsafeBytes {
    buffer.fill(try Picture($0, height: sides[0], width: sides[1]), exif: 1)
  }
}

for model in folder.models() {
  let proof = try GoldenProof(folder, model: model, decode: decode)
  print("proved \(model) by \(proof.pictures.count) pictures")
  for one in try proof.differences() { print("different \(one)") }
}
