import Foundation
import PhoneproofCore
import XCTest

@testable import Phoneproof

/// Pictures that Python decoded, found by the SHA-256 of the file: `<sha256>.rgb` holds height and
/// width (little-endian, 32 bits each) and the upright pixels. Linux has no decoder.
struct RawPictures: Sendable {
  let folder: URL

  /// - Parameter layout: `.bgr` pretends that the colours are the other way round.
  func decoder(_ layout: Picture.Layout = .rgb) -> PictureDecoder {
    let folder = folder
    return { file, _, buffer in
      let name = file.withUnsafeBytes { SHA256.hexDigest(of: $0) }
      let raw = try Data(contentsOf: folder.appendingPathComponent("\(name).rgb"))
      try raw.withUnsafeBytes { bytes in
        let sides = (0..<2).map { Int(bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)) }
        let pixels = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(8))
        let picture = try Picture(pixels, height: sides[0], width: sides[1], layout: layout)
        buffer.fill(picture, exif: 1)
      }
    }
  }
}

extension Picture.Layout {
  static let bgr = Picture.Layout(red: 2, green: 1, blue: 0, bytesPerPixel: 3)
}

/// A model that Python ran: `bundle/`, `model.txt` (the file within it), `images/` and `raw/`.
struct BundleRun {
  let folder: URL
  let path: String

  init(_ folder: URL) throws {
    self.folder = folder
    path = try String(contentsOf: folder.appendingPathComponent("model.txt"), encoding: .utf8)
  }

  var name: String { folder.lastPathComponent }
  var bundle: ModelFolder { ModelFolder(folder.appendingPathComponent("bundle")) }
  var raw: RawPictures { RawPictures(folder: folder.appendingPathComponent("raw")) }

  var images: [URL] {
    get throws {
      try FileManager.default.contentsOfDirectory(
        at: folder.appendingPathComponent("images"), includingPropertiesForKeys: nil
      ).sorted { $0.path < $1.path }
    }
  }

  /// - Throws: `XCTSkip` where `PHONEPROOF_RUNS` names no folder.
  static func all() throws -> [BundleRun] {
    let folder = try Environment.folder("PHONEPROOF_RUNS")
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }.map(BundleRun.init)
  }

  /// The one whose loss would be seen in the memory.
  static func largest() throws -> BundleRun {
    let sized = try all().map { run in
      (run: run, size: try Data(contentsOf: run.bundle.url.appendingPathComponent(run.path)).count)
    }
    return try XCTUnwrap(sized.max { $0.size < $1.size }).run
  }

  func open(
    _ factory: any EngineFactory, options: VisionModelOptions = Environment.options
  ) throws -> VisionModel {
    try VisionModel(bundle, model: path, factory: factory, decode: raw.decoder(), options: options)
  }
}

enum Environment {
  static func folder(_ name: String) throws -> URL {
    guard let path = ProcessInfo.processInfo.environment[name] else {
      throw XCTSkip("\(name) is not given")
    }
    return URL(fileURLWithPath: path)
  }

  /// libLiteRt.so.
  static func library() throws -> URL { try folder("PHONEPROOF_LITERT") }

  static var options: VisionModelOptions {
    var options = VisionModelOptions()
    options.store = MemoryStore()
    return options
  }
}
