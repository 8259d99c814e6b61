/// The fields of one JSON object, read by name. Every field must be known: a rule that an older
/// reader leaves out would give other pixels without a word.
struct Fields {
  let fields: [String: JSON]
  /// Where the object lies in its document, for messages.
  let path: String
  let fail: @Sendable (PhoneproofError.Problem) -> PhoneproofError

  init(
    _ value: JSON, path: String, known: Set<String>,
    fail: @escaping @Sendable (PhoneproofError.Problem) -> PhoneproofError
  ) throws {
    guard case .object(let fields) = value else {
      throw fail(.init("\(path) is no object", found: value.kind, nextStep: Self.rebuilt))
    }
    if let stranger = fields.keys.filter({ !known.contains($0) }).sorted().first {
      throw fail(
        .init(
          "\(path) has a field that this version does not know", found: stranger,
          nextStep: "update the Phoneproof package, or build the bundle anew"))
    }
    self.fields = fields
    self.path = path
    self.fail = fail
  }

  static let rebuilt = "copy the file from the bundle again"

  /// A whole document.
  static func document(
    _ data: some Sequence<UInt8>, name: String,
    fail: @Sendable (PhoneproofError.Problem) -> PhoneproofError
  ) throws -> JSON {
    do {
      return try JSON(data)
    } catch let error as JSON.Failure {
      throw fail(
        .init(
          "\(name) cannot be read", found: "\(error.what), at byte \(error.place)",
          nextStep: rebuilt))
    }
  }

  func wrong(_ name: String, _ found: String, _ next: String = Self.rebuilt) -> PhoneproofError {
    fail(.init("\(path).\(name) is not as it must be", found: found, nextStep: next))
  }

  func missing(_ name: String) -> PhoneproofError { wrong(name, "nothing") }

  /// The value, nil where it is null or not there.
  subscript(_ name: String) -> JSON? {
    guard let value = fields[name], value != .null else { return nil }
    return value
  }

  func child(_ name: String, known: Set<String>) throws -> Fields? {
    try self[name].map { try Fields($0, path: "\(path).\(name)", known: known, fail: fail) }
  }

  func items(_ name: String) throws -> [JSON]? {
    guard let value = self[name] else { return nil }
    guard case .array(let items) = value else { throw wrong(name, value.kind) }
    return items
  }

  func text(_ name: String) throws -> String? {
    guard let value = self[name] else { return nil }
    guard case .string(let text) = value else { throw wrong(name, value.kind) }
    return text
  }

  func flag(_ name: String) throws -> Bool? {
    guard let value = self[name] else { return nil }
    guard case .bool(let flag) = value else { throw wrong(name, value.kind) }
    return flag
  }

  func number(_ name: String) throws -> Double? {
    try self[name].map { try number($0, name) }
  }

  func whole(_ name: String) throws -> Int? {
    try self[name].map { try whole($0, name) }
  }

  func numbers(_ name: String) throws -> [Double]? {
    try items(name)?.map { try number($0, name) }
  }

  func wholes(_ name: String) throws -> [Int]? {
    try items(name)?.map { try whole($0, name) }
  }

  func number(_ value: JSON, _ name: String) throws -> Double {
    guard case .number(let number) = value else { throw wrong(name, value.kind) }
    return number.value
  }

  func whole(_ value: JSON, _ name: String) throws -> Int {
    let number = try number(value, name)
    guard let whole = Int(exactly: number), abs(whole) < 1 << 53 else {
      throw wrong(name, "\(number), no whole number")
    }
    return whole
  }

  /// One of the cases of an enumeration.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, _ type: Choice.Type = Choice.self
  ) throws -> Choice? {
    guard let text = try text(name) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw wrong(name, text, "known are \(known); update the Phoneproof package for newer ones")
    }
    return choice
  }

  /// A value that must be there.
  func needed<Value>(_ name: String, _ value: Value?) throws -> Value {
    guard let value else { throw missing(name) }
    return value
  }

  /// Refuses every schema but one, with what is known of it.
  func require(schema: String) throws {
    let found = try text("schema") ?? schema
    guard found == schema else {
      throw fail(
        .init(
          "\(path) is written in a schema that this version does not read",
          found: "\(found) instead of \(schema)",
          nextStep: "update the Phoneproof package, or build the bundle with the same version"))
    }
  }
}
