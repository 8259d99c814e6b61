extension Binding {
  /// - Parameter json: the bytes of a binding.
  /// - Throws: `PhoneproofError.binding` or `.unsupported`.
  public init(json: some Sequence<UInt8>) throws {
    try self.init(Fields.document(json, name: "the binding", fail: { .binding($0) }))
  }

  init(_ value: JSON) throws {
    let fields = try Fields(value, path: "binding", known: Self.known, fail: { .binding($0) })
    try fields.require(schema: "phoneproof.binding/1")
    artifact = try fields.text("artifact")
    contract = try fields.needed("contract", fields.text("contract"))
    format = try fields.needed("format", fields.text("format"))
    precision = try fields.text("precision") ?? "float32"
    batch = try fields.whole("batch") ?? 1
    let inputs = try fields.needed("inputs", fields.items("inputs"))
    guard inputs.count == 1 else {
      throw PhoneproofError.unsupported(
        .init("a binding with other than one input", found: "\(inputs.count) inputs"))
    }
    input = try InputBinding(inputs[0], path: "binding.inputs[0]")
    outputs = try fields.needed("outputs", fields.items("outputs")).enumerated().map {
      try OutputBinding($1, path: "binding.outputs[\($0)]")
    }
    anchors = try Anchors(fields)
    nmsInFile = try fields.flag("nms_in_file") ?? false
    decodeOverride = try DecodePolicy(fields, "decode_override")
  }

  private static let known: Set<String> = [
    "schema", "artifact", "contract", "format", "precision", "batch", "inputs", "outputs",
    "anchors", "nms_in_file", "decode_override",
  ]
}

extension InputBinding {
  init(_ value: JSON, path: String) throws {
    let fields = try Fields(
      value, path: path,
      known: ["for", "tensor", "shape", "layout", "dtype", "quant", "normalise_in_file"],
      fail: { .binding($0) })
    input = try fields.text("for") ?? "image"
    tensor = try fields.needed("tensor", fields.text("tensor"))
    shape = try fields.needed("shape", fields.wholes("shape"))
    layout = try fields.needed("layout", fields.choice("layout"))
    type = try fields.choice("dtype") ?? .float32
    quantization = try Quantization(fields)
    normaliseInFile = try fields.flag("normalise_in_file") ?? false
  }
}

extension Quantization {
  fileprivate init?(_ parent: Fields) throws {
    guard let fields = try parent.child("quant", known: ["scale", "zero_point"]) else { return nil }
    scale = try fields.needed("scale", fields.number("scale"))
    zeroPoint = try fields.needed("zero_point", fields.whole("zero_point"))
    guard scale > 0 else { throw fields.wrong("scale", "\(scale)", "a step is positive") }
  }
}

extension OutputBinding {
  init(_ value: JSON, path: String) throws {
    let fields = try Fields(
      value, path: path,
      known: [
        "tensor", "role", "shape", "axes", "level", "slice", "packed", "class_offset", "dtype",
        "quant", "activation", "box",
      ], fail: { .binding($0) })
    tensor = try fields.needed("tensor", fields.text("tensor"))
    role = try fields.needed("role", fields.choice("role"))
    shape = try fields.needed("shape", fields.wholes("shape"))
    axes = try (fields.items("axes") ?? []).map { axis in
      guard case .string(let text) = axis, let known = Axis(rawValue: text) else {
        throw fields.wrong("axes", "\(axis)")
      }
      return known
    }
    level = try fields.whole("level")
    slice = try fields.wholes("slice").map { ends in
      guard ends.count == 2, ends[0] >= 0, ends[0] < ends[1] else {
        throw fields.wrong("slice", "\(ends)", "a slice is [first, end)")
      }
      return ends[0]..<ends[1]
    }
    packed = try fields.whole("packed") ?? 1
    classOffset = try fields.whole("class_offset") ?? 0
    type = try fields.choice("dtype") ?? .float32
    quantization = try Quantization(fields)
    activation = try fields.choice("activation") ?? .none
    box = try BoxFormat(fields)
    let count = shape.reduce(1.0) { $0 * Double($1) }
    guard !shape.isEmpty, shape.allSatisfy({ $0 >= 1 }), count < 0x1p31 else {
      throw fields.wrong("shape", "\(shape)", "an output has 1 to 2^31 elements, batch first")
    }
  }
}

extension BoxFormat {
  fileprivate init?(_ parent: Fields) throws {
    let known: Set<String> = ["format", "units", "variances", "order"]
    guard let fields = try parent.child("box", known: known) else { return nil }
    format = try fields.needed("format", fields.choice("format"))
    units = try fields.choice("units") ?? .pixels
    order = try fields.choice("order") ?? .xy
    variances = try fields.numbers("variances")
    if let variances, variances.count != 4 {
      throw fields.wrong("variances", "\(variances.count) numbers")
    }
  }
}

extension Anchors {
  fileprivate init?(_ parent: Fields) throws {
    let known: Set<String> = ["kind", "strides", "offset", "wh", "count", "data"]
    guard let fields = try parent.child("anchors", known: known) else { return nil }
    let kind = try fields.needed("kind", fields.text("kind"))
    switch kind {
    case "grid":
      self = .grid(strides: try Self.strides(fields), offset: try fields.number("offset") ?? 0.5)
    case "yolo_anchor":
      let strides = try Self.strides(fields)
      let shapes = try fields.needed("wh", fields.items("wh")).map { try Self.shapes($0, fields) }
      guard shapes.count == strides.count else {
        throw fields.wrong("wh", "\(strides.count) strides with \(shapes.count) lists of shapes")
      }
      self = .yolo(strides: strides, shapes: shapes)
    case "priors": self = .priors(try Self.priors(fields))
    default: throw fields.wrong("kind", kind, "update the Phoneproof package")
    }
  }

  private static func strides(_ fields: Fields) throws -> [Int] {
    let strides = try fields.needed("strides", fields.wholes("strides"))
    guard !strides.isEmpty, strides.allSatisfy({ $0 >= 1 }) else {
      throw fields.wrong("strides", "\(strides)")
    }
    return strides
  }

  private static func shapes(_ value: JSON, _ fields: Fields) throws -> [AnchorShape] {
    guard case .array(let items) = value else { throw fields.wrong("wh", value.kind) }
    return try items.map { item in
      guard case .array(let sides) = item, sides.count == 2 else {
        throw fields.wrong("wh", item.kind)
      }
      return AnchorShape(
        width: try fields.number(sides[0], "wh"), height: try fields.number(sides[1], "wh"))
    }
  }

  /// RetinaNet at 1333 x 800 has 190 000; more is a damaged number.
  private static let mostPriors = 1_000_000

  private static func priors(_ fields: Fields) throws -> [Float] {
    let count = try fields.needed("count", fields.whole("count"))
    let text = try fields.needed("data", fields.text("data"))
    guard let bytes = base64Bytes(text) else { throw fields.wrong("data", "no base64") }
    guard (1...mostPriors).contains(count), bytes.count == count * 16 else {
      throw fields.wrong("data", "\(bytes.count) bytes for \(count) rows of 16")
    }
    let rows = bytes.withUnsafeBytes { raw in
      (0..<count * 4).map {
        Float(
          bitPattern: UInt32(
            littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
      }
    }
    guard rows.allSatisfy(\.isFinite) else { throw fields.wrong("data", "a NaN or an infinity") }
    return rows
  }
}

/// RFC 4648, padded; nil where the text is anything else.
func base64Bytes(_ text: String) -> [UInt8]? {
  var digits = Array(text.utf8)
  guard digits.count % 4 == 0 else { return nil }
  var padding = 0
  while padding < 2, digits.last == UInt8(ascii: "=") {
    digits.removeLast()
    padding += 1
  }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(digits.count * 3 / 4)
  var (bits, waiting): (UInt32, UInt32) = (0, 0)
  for digit in digits {
    guard let value = base64Value(digit) else { return nil }
    bits = bits << 6 | value
    waiting += 6
    if waiting >= 8 {
      waiting -= 8
      bytes.append(UInt8(truncatingIfNeeded: bits >> waiting))
    }
  }
  return bytes
}

private func base64Value(_ digit: UInt8) -> UInt32? {
  switch digit {
  case UInt8(ascii: "A")...UInt8(ascii: "Z"): return UInt32(digit) - 65
  case UInt8(ascii: "a")...UInt8(ascii: "z"): return UInt32(digit) - 71
  case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt32(digit) + 4
  case UInt8(ascii: "+"): return 62
  case UInt8(ascii: "/"): return 63
  default: return nil
  }
}
