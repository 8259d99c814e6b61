/// A JSON value. Read here and not by Foundation: older systems read some numbers through decimal
/// arithmetic, and a scale that is one unit in the last place off changes pixels.
enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(Number)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  /// Keeps its text, so that the hash of a document survives reading.
  struct Number: Sendable, Equatable {
    let value: Double
    let text: String
  }

  /// Deeper than any document of this project; a hostile one must not exhaust the stack.
  static let deepest = 64

  /// - Throws: `JSON.Failure` with the place in bytes.
  init(_ text: some Sequence<UInt8>) throws {
    var parser = Parser(bytes: Array(text))
    self = try parser.document()
  }

  struct Failure: Error {
    let what: String
    let place: Int
  }

  /// What people call the kind of value.
  var kind: String {
    switch self {
    case .null: return "null"
    case .bool: return "true or false"
    case .number: return "a number"
    case .string: return "a text"
    case .array: return "a list"
    case .object: return "an object"
    }
  }

  /// Compact text with sorted names: equal documents have equal hashes
  /// (`phoneproof.core.json_format`).
  var canonical: String {
    switch self {
    case .null: return "null"
    case .bool(let flag): return flag ? "true" : "false"
    case .number(let number): return number.text
    case .string(let text): return Self.quoted(text)
    case .array(let items): return "[" + items.map(\.canonical).joined(separator: ",") + "]"
    case .object(let fields):
      let sorted = fields.sorted { $0.key < $1.key }
      let members = sorted.map { Self.quoted($0.key) + ":" + $0.value.canonical }
      return "{" + members.joined(separator: ",") + "}"
    }
  }

  private static let escapes: [Unicode.Scalar: String] = [
    "\"": "\\\"", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\u{8}": "\\b", "\u{c}": "\\f",
  ]

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      if let escape = escapes[scalar] {
        quoted += escape
      } else if scalar.value < 0x20 {
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      } else {
        quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  private struct Parser {
    let bytes: [UInt8]
    var place = 0

    mutating func document() throws -> JSON {
      let value = try self.value(depth: 0)
      skipSpace()
      guard place == bytes.count else { throw failure("something follows the document") }
      return value
    }

    private mutating func value(depth: Int) throws -> JSON {
      guard depth < JSON.deepest else { throw failure("nested too deeply") }
      skipSpace()
      guard place < bytes.count else { throw failure("it ends too early") }
      switch bytes[place] {
      case UInt8(ascii: "{"): return .object(try object(depth: depth))
      case UInt8(ascii: "["): return .array(try array(depth: depth))
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t"): return try word("true", .bool(true))
      case UInt8(ascii: "f"): return try word("false", .bool(false))
      case UInt8(ascii: "n"): return try word("null", .null)
      default: return .number(try number())
      }
    }

    private mutating func object(depth: Int) throws -> [String: JSON] {
      var fields: [String: JSON] = [:]
      place += 1
      if take(UInt8(ascii: "}")) { return fields }
      repeat {
        skipSpace()
        guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else {
          throw failure("a field has no name")
        }
        let name = try string()
        guard take(UInt8(ascii: ":")) else { throw failure("no colon after a field's name") }
        let value = try value(depth: depth + 1)
        guard fields.updateValue(value, forKey: name) == nil else {
          throw failure("field \(name) is there twice")
        }
      } while take(UInt8(ascii: ","))
      guard take(UInt8(ascii: "}")) else { throw failure("an object does not end") }
      return fields
    }

    private mutating func array(depth: Int) throws -> [JSON] {
      var items: [JSON] = []
      place += 1
      if take(UInt8(ascii: "]")) { return items }
      repeat {
        items.append(try value(depth: depth + 1))
      } while take(UInt8(ascii: ","))
      guard take(UInt8(ascii: "]")) else { throw failure("a list does not end") }
      return items
    }

    private mutating func string() throws -> String {
      place += 1
      var text: [UInt8] = []
      while place < bytes.count {
        let byte = bytes[place]
        place += 1
        switch byte {
        case UInt8(ascii: "\""):
          let string = String(decoding: text, as: UTF8.self)
          // Damaged bytes were replaced.
          guard string.utf8.elementsEqual(text) else { throw failure("a text that is no UTF-8") }
          return string
        case UInt8(ascii: "\\"): text.append(contentsOf: try escaped())
        case 0..<0x20: throw failure("a control character in a text")
        default: text.append(byte)
        }
      }
      throw failure("a text does not end")
    }

    private mutating func escaped() throws -> [UInt8] {
      guard place < bytes.count else { throw failure("a text does not end") }
      let byte = bytes[place]
      place += 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
      case UInt8(ascii: "b"): return [8]
      case UInt8(ascii: "f"): return [12]
      case UInt8(ascii: "n"): return [10]
      case UInt8(ascii: "r"): return [13]
      case UInt8(ascii: "t"): return [9]
      case UInt8(ascii: "u"): return try unicode()
      default: throw failure("an unknown escape in a text")
      }
    }

    private mutating func unicode() throws -> [UInt8] {
      var units = [try fourDigits()]
      if UTF16.isLeadSurrogate(units[0]), place + 1 < bytes.count,
        bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u")
      {
        place += 2
        units.append(try fourDigits())
      }
      guard units[0] != 0 else { throw failure("a text with a zero in it") }
      var codec = UTF16()
      var source = units.makeIterator()
      guard case .scalarValue(let scalar) = codec.decode(&source) else {
        throw failure("half a character in a text")
      }
      return Array(String(scalar).utf8)
    }

    private mutating func fourDigits() throws -> UInt16 {
      guard place + 4 <= bytes.count,
        let unit = UInt16(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
      else { throw failure("no four hexadecimal digits") }
      place += 4
      return unit
    }

    private mutating func number() throws -> Number {
      let start = place
      while place < bytes.count, Self.numeral.contains(bytes[place]) { place += 1 }
      let text = String(decoding: bytes[start..<place], as: UTF8.self)
      guard let first = text.first, first == "-" || first.isNumber,
        let number = Double(text), number.isFinite
      else {
        place = start
        throw failure("no value")
      }
      return Number(value: number, text: text)
    }

    private static let numeral = Set("+-0123456789.eE".utf8)

    private mutating func word(_ text: String, _ value: JSON) throws -> JSON {
      guard bytes[place...].starts(with: text.utf8) else { throw failure("no value") }
      place += text.utf8.count
      return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
      skipSpace()
      guard place < bytes.count, bytes[place] == byte else { return false }
      place += 1
      return true
    }

    private mutating func skipSpace() {
      while place < bytes.count, [0x20, 0x0a, 0x0d, 0x09].contains(bytes[place]) { place += 1 }
    }

    private func failure(_ what: String) -> Failure { Failure(what: what, place: place) }
  }
}
