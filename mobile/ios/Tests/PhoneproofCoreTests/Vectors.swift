import Foundation
import XCTest

@testable import PhoneproofCore

/// The golden vectors that all languages of the project read, made by its Python reference.
enum Vectors {
  static var folder: URL {
    if let path = ProcessInfo.processInfo.environment["PHONEPROOF_VECTORS"] {
      return URL(fileURLWithPath: path)
    }
    return URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("vectors")
  }

  /// The cases of one area.
  static func cases(_ area: String) throws -> [Case] {
    let found = try cases(of: folder.appendingPathComponent("\(area).json"), area: area)
    XCTAssertFalse(found.isEmpty, "\(area) has no cases")
    return found
  }

  static func cases(of file: URL, area: String) throws -> [Case] {
    let document = try JSON(Data(contentsOf: file))
    guard case .object(let fields) = document,
      fields["schema"] == .string("phoneproof.vectors/1"), case .array(let items)? = fields["cases"]
    else { throw PhoneproofError.unsupported(.init("no vectors of \(area)")) }
    guard fields["area"] == .string(area) else { return [] }
    print("phoneproof-vectors \(file.lastPathComponent) \(area) \(items.count)")
    return try items.map(Case.init)
  }
}

/// One case: its fields by name, which fail the test where they are missing.
struct Case {
  let fields: [String: JSON]

  init(_ value: JSON) throws {
    guard case .object(let fields) = value else { throw Missing(field: "object") }
    self.fields = fields
  }

  struct Missing: Error { let field: String }

  func value(_ name: String) throws -> JSON {
    guard let value = fields[name] else { throw Missing(field: name) }
    return value
  }

  func part(_ name: String) throws -> Case { try Case(value(name)) }

  func has(_ name: String) -> Bool { fields[name] != nil && fields[name] != .null }

  func text(_ name: String) throws -> String {
    guard case .string(let text) = try value(name) else { throw Missing(field: name) }
    return text
  }

  func number(_ name: String) throws -> Double {
    try Self.number(value(name))
  }

  func whole(_ name: String) throws -> Int { Int(try number(name)) }

  func items(_ name: String) throws -> [JSON] {
    guard case .array(let items) = try value(name) else { throw Missing(field: name) }
    return items
  }

  func numbers(_ name: String) throws -> [Double] { try items(name).map(Self.number) }

  static func number(_ value: JSON) throws -> Double {
    guard case .number(let number) = value else { throw Missing(field: "number") }
    return number.value
  }

  var id: String { (try? text("id")) ?? "?" }
}

/// A picture by formula, in memory of its own.
final class FormulaPicture {
  let height: Int
  let width: Int
  let channels: Int
  var bytes: [UInt8]

  init(_ spec: Case) throws {
    height = try spec.whole("height")
    width = try spec.whole("width")
    channels = spec.has("channels") ? try spec.whole("channels") : 3
    let seed = UInt32(try spec.whole("seed"))
    bytes = [UInt8](repeating: 0, count: height * width * channels)
    if try spec.text("kind") == "noise" {
      bytes = Self.noise(seed, count: bytes.count)
    } else {
      var i = 0
      for y in 0..<UInt32(height) {
        for x in 0..<UInt32(width) {
          for channel in 0..<UInt32(channels) {
            let bend = (x &* y &* seed) / 64
            let wave = (seed &* 37 &+ x &* 7 &+ y &* 11 &+ channel &* 83 &+ bend) % 511
            bytes[i] = UInt8(wave <= 255 ? wave : 510 - wave)
            i += 1
          }
        }
      }
    }
  }

  static func noise(_ seed: UInt32, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBufferPointer { out in
      for i in 0..<count {
        var x = seed &* 0x9E37_79B1 &+ UInt32(truncatingIfNeeded: i) &* 0x85EB_CA77
        x ^= x &>> 15
        x = x &* 0x2C1B_3C6D
        x ^= x &>> 12
        x = x &* 0x297A_2D39
        x ^= x &>> 15
        out[i] = UInt8(x &>> 24)
      }
    }
    return bytes
  }

  func with<Value>(_ body: (Picture) throws -> Value) throws -> Value {
    try bytes.withUnsafeBytes { raw in
      try body(Picture(raw, height: height, width: width, layout: channels == 4 ? .rgba : .rgb))
    }
  }
}

/// Compares bytes with what a case expects; on a difference the first values are shown.
func assertEqual(
  _ bytes: [UInt8], _ expected: Case, _ id: String, file: StaticString = #filePath,
  line: UInt = #line
) throws {
  let digest = bytes.withUnsafeBytes { SHA256.hexDigest(of: $0) }
  if digest == (try expected.text("sha256")) { return }
  let head = try expected.numbers("head")
  let type = try XCTUnwrap(ElementType(rawValue: try expected.text("dtype")))
  let ours = bytes.withUnsafeBytes { raw in
    (0..<min(head.count, bytes.count / type.size)).map { type.number(in: raw, at: $0) }
  }
  XCTFail("\(id): \(ours) instead of \(head)", file: file, line: line)
}
