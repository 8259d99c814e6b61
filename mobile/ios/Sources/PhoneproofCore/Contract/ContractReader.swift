extension Contract {
  /// - Parameter json: the bytes of `contract.json`.
  /// - Throws: `PhoneproofError.contract` or `.unsupported`.
  public init(json: some Sequence<UInt8>) throws {
    let value = try Fields.document(json, name: "the contract", fail: { .contract($0) })
    try self.init(value)
  }

  init(_ value: JSON) throws {
    let fields = try Fields(
      value, path: "contract",
      known: ["schema", "name", "version", "task", "inputs", "labels", "decode"],
      fail: { .contract($0) })
    try fields.require(schema: "phoneproof.contract/1")
    name = try fields.needed("name", fields.text("name"))
    version = try fields.text("version") ?? "1.0.0"
    task = try fields.needed("task", fields.choice("task"))
    let inputs = try fields.needed("inputs", fields.items("inputs"))
    guard inputs.count == 1 else {
      throw PhoneproofError.unsupported(
        .init("a contract with other than one input", found: "\(inputs.count) inputs"))
    }
    input = try ImageInput(inputs[0], path: "contract.inputs[0]")
    labels = try (fields.items("labels") ?? []).map { label in
      switch label {
      case .null: return nil
      case .string(let text): return text
      default: throw fields.wrong("labels", label.kind)
      }
    }
    decode = try DecodePolicy(fields, "decode")
    sha256 = Array(value.canonical.utf8).withUnsafeBytes { SHA256.hexDigest(of: $0) }
    if task == .detect && decode == nil { throw fields.missing("decode") }
  }
}

extension ImageInput {
  init(_ value: JSON, path: String) throws {
    let fields = try Fields(
      value, path: path,
      known: [
        "name", "kind", "orientation", "color_profile", "alpha", "channels", "gray", "geometry",
        "size", "values", "scale", "mean", "std",
      ], fail: { .contract($0) })
    let kind = try fields.text("kind") ?? "image"
    guard kind == "image" else {
      throw PhoneproofError.unsupported(.init("an input of another kind than image", found: kind))
    }
    name = try fields.text("name") ?? "image"
    orientation = try fields.choice("orientation") ?? .exif
    colorProfile = try fields.choice("color_profile") ?? .asStored
    alpha = try Alpha(fields)
    channels = try fields.choice("channels") ?? .rgb
    gray = try fields.choice("gray")
    let count = channels == .gray ? 1 : 3
    geometry = try fields.needed("geometry", fields.items("geometry")).enumerated().map {
      try GeometryOp($1, path: "\(path).geometry[\($0)]", channels: count)
    }
    size = try fields.needed("size", fields.size("size"))
    values = try fields.choice("values") ?? .uint8
    scale = try fields.needed("scale", fields.number("scale"))
    mean = try fields.needed("mean", fields.numbers("mean"))
    std = try fields.needed("std", fields.numbers("std"))
    try check(fields)
  }

  private func check(_ fields: Fields) throws {
    guard (channels == .gray) == (gray != nil) else {
      throw fields.wrong("gray", "channels \(channels.rawValue)", "gray names its formula")
    }
    guard mean.count == channelCount, std.count == channelCount else {
      throw fields.wrong("mean", "\(mean.count) and \(std.count) numbers in mean and std")
    }
    guard scale > 0, std.allSatisfy({ $0 > 0 }) else { throw fields.wrong("std", "no size") }
    let resizes = geometry.compactMap { op -> Resize? in
      if case .resize(let resize) = op { return resize } else { return nil }
    }
    guard resizes.count <= 1 else { throw fields.wrong("geometry", "\(resizes.count) resizes") }
    guard resizes.allSatisfy({ $0.filter.givesFloats == (values == .float32) }) else {
      throw fields.wrong("values", "\(values.rawValue) with filter \(resizes[0].filter.rawValue)")
    }
  }
}

extension ImageInput.Alpha {
  fileprivate init(_ fields: Fields) throws {
    switch fields["alpha"] {
    case nil, .string("drop"): self = .drop
    case .array:
      let color = try fields.bytes("alpha") ?? []
      guard color.count == 3 else { throw fields.wrong("alpha", "\(color.count) numbers") }
      self = .background(red: color[0], green: color[1], blue: color[2])
    case .some(let other): throw fields.wrong("alpha", other.kind)
    }
  }
}

extension GeometryOp {
  init(_ value: JSON, path: String, channels: Int) throws {
    let fields = try Fields(value, path: path, known: Self.known, fail: { .contract($0) })
    let op = try fields.needed("op", fields.text("op"))
    switch op {
    case "crop": self = .crop(try Crop(fields))
    case "resize": self = .resize(try Resize(fields))
    case "pad": self = .pad(try Pad(fields, channels: channels))
    default: throw fields.wrong("op", op, "known are crop, resize, pad; update the package")
    }
  }

  private static let known: Set<String> = [
    "op", "fraction", "aspect", "size", "anchor", "round", "to", "upscale", "filter", "spare",
    "value",
  ]
}

extension Crop {
  fileprivate init(_ fields: Fields) throws {
    let cuts: [Cut] = [
      try fields.number("fraction").map(Cut.fraction),
      try fields.number("aspect").map(Cut.aspect),
      try fields.size("size").map(Cut.size),
    ].compactMap { $0 }
    guard cuts.count == 1 else {
      throw fields.wrong("op", "a crop with \(cuts.count) of fraction, aspect, size")
    }
    switch cuts[0] {
    case .fraction(let part) where !(part > 0 && part <= 1):
      throw fields.wrong("fraction", "\(part)")
    case .aspect(let ratio) where !(ratio > 0): throw fields.wrong("aspect", "\(ratio)")
    default: cut = cuts[0]
    }
    anchor = try fields.choice("anchor") ?? .center
    round = try fields.choice("round") ?? .halfEven
  }
}

extension Resize {
  fileprivate init(_ fields: Fields) throws {
    to = try fields.needed("to", fields.choice("to"))
    size = try fields.needed("size", fields.size("size"))
    round = try fields.choice("round") ?? .halfEven
    upscale = try fields.flag("upscale") ?? true
    filter = try fields.choice("filter") ?? .openCVLinear
  }
}

extension Pad {
  fileprivate init(_ fields: Fields, channels: Int) throws {
    size = try fields.needed("size", fields.size("size"))
    anchor = try fields.choice("anchor") ?? .center
    let spare = try fields.text("spare") ?? "end"
    guard spare == "end" else { throw fields.wrong("spare", spare) }
    value = try fields.bytes("value") ?? [114, 114, 114]
    guard value.count == channels else { throw fields.wrong("value", "\(value.count) numbers") }
  }
}

extension DecodePolicy {
  init?(_ parent: Fields, _ name: String) throws {
    let known: Set<String> = ["confidence", "multi_label", "nms"]
    guard let fields = try parent.child(name, known: known) else { return nil }
    confidence = try fields.number("confidence") ?? 0.25
    guard (0...1).contains(confidence) else { throw fields.wrong("confidence", "\(confidence)") }
    multiLabel = try fields.flag("multi_label") ?? false
    nms = try NMS(fields)
  }
}

extension DecodePolicy.NMS {
  fileprivate init?(_ parent: Fields) throws {
    let known: Set<String> = ["iou", "class_agnostic", "pre_top_k", "max_detections"]
    guard let fields = try parent.child("nms", known: known) else { return nil }
    iou = try fields.number("iou") ?? 0.45
    classAgnostic = try fields.flag("class_agnostic") ?? false
    preTopK = try fields.whole("pre_top_k") ?? 30000
    maxDetections = try fields.whole("max_detections") ?? 300
    guard iou > 0, iou <= 1 else { throw fields.wrong("iou", "\(iou)") }
    guard preTopK >= 1, maxDetections >= 1 else {
      throw fields.wrong("max_detections", "counts that are not positive")
    }
  }
}

extension Fields {
  /// [height, width], each in 1..16384.
  func size(_ name: String) throws -> Size? {
    guard let sides = try wholes(name) else { return nil }
    guard sides.count == 2, sides.allSatisfy({ (1...16384).contains($0) }) else {
      throw wrong(name, "\(sides)", "a size is [height, width], each in 1..16384")
    }
    return Size(height: sides[0], width: sides[1])
  }

  func bytes(_ name: String) throws -> [UInt8]? {
    try wholes(name)?.map { value in
      guard let byte = UInt8(exactly: value) else {
        throw wrong(name, "\(value)", "colours are numbers of 0..255")
      }
      return byte
    }
  }
}
