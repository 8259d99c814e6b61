/// Output tensors to results in the pixels of the upright original. A score counts when it is
/// greater than the confidence, compared in float32. Safe to share; calls wait for each other.
public final class Decoder: @unchecked Sendable {
  private enum Way {
    case detect(DetectionDecoder)
    case classify(RoleReader)
    case raw
  }

  private let contract: Contract
  private let binding: Binding
  private let way: Way
  private let lock = Lock()

  /// - Throws: `PhoneproofError.outputs` where contract and binding do not go together,
  ///   `.unsupported` where the binding has outputs that this version does not decode.
  public init(_ contract: Contract, _ binding: Binding) throws {
    self.contract = contract
    self.binding = binding
    switch contract.task {
    case .raw: way = .raw
    case .classify:
      try Self.checkRoles(binding)
      let role = try Role(.scores, binding)
      guard role.count == 1 else {
        throw Role.unfit(
          "a classifier's scores must be one row of classes",
          "\(role.count) rows of \(role.width) values")
      }
      try Self.checkLabels(contract, role.width)
      way = .classify(RoleReader(role))
    case .detect:
      try Self.checkRoles(binding)
      way = .detect(try DetectionDecoder(contract, binding))
    }
  }

  private static func checkRoles(_ binding: Binding) throws {
    let roles = Set(binding.outputs.map(\.role))
    let unknown = roles.subtracting([.boxes, .dfl, .scores, .objectness, .classes, .count, .raw])
    guard unknown.isEmpty else {
      throw PhoneproofError.unsupported(
        .init(
          "the binding has outputs that this version does not decode",
          found: unknown.map(\.rawValue).sorted().joined(separator: ", "),
          nextStep: "update the Phoneproof package, or use task raw"))
    }
    guard !roles.isSuperset(of: [.boxes, .dfl]), !roles.contains(.count) || roles.contains(.classes)
    else {
      throw Role.unfit(
        "the roles of the binding do not go together",
        roles.map(\.rawValue).sorted().joined(separator: ", "))
    }
  }

  static func checkLabels(_ contract: Contract, _ classes: Int) throws {
    guard contract.labels.isEmpty || contract.labels.count == classes else {
      throw PhoneproofError.outputs(
        .init(
          "the model has another number of classes than the contract has labels",
          found: "\(classes) classes, \(contract.labels.count) labels",
          nextStep: "use the contract and the binding of one bundle"))
    }
  }

  /// Results of one picture.
  ///
  /// - Parameters:
  ///   - outputs: of the model, batch first.
  ///   - plan: what `PixelPipeline.fill` gave for the picture.
  ///   - index: which picture of the batch.
  /// - Throws: `PhoneproofError.outputs` where tensors and binding do not fit each other.
  public func decode(
    _ outputs: [OutputTensor], plan: GeometryPlan, index: Int = 0
  ) throws -> Results {
    try lock.held {
      switch way {
      case .detect(let decoder):
        return .detections(try decoder.decode(outputs, plan: plan, index: index))
      case .classify(let reader): return .classes(try classes(reader, outputs, index))
      case .raw: return .raw(try raw(outputs, index))
      }
    }
  }

  private func classes(
    _ reader: RoleReader, _ outputs: [OutputTensor], _ index: Int
  ) throws -> [Classification] {
    try reader.open(outputs, index: index)
    let values = [Float](unsafeUninitializedCapacity: reader.role.width) { buffer, count in
      if let start = buffer.baseAddress { reader.read(0, into: start) }
      count = reader.role.width
    }
    let hasLabels = !contract.labels.isEmpty
    let named = values.indices.filter { !hasLabels || contract.labels[$0] != nil }
    // A NaN is no probability: it comes last.
    func rank(_ value: Float) -> Float { value.isNaN ? -.infinity : value }
    return named.sorted {
      let (a, b) = (rank(values[$0]), rank(values[$1]))
      return a != b ? a > b : $0 < $1
    }.map {
      Classification(classIndex: $0, label: contract.label(of: $0), probability: values[$0])
    }
  }

  private func raw(_ outputs: [OutputTensor], _ index: Int) throws -> [RawOutput] {
    var seen: Set<String> = []
    return try binding.outputs.filter { seen.insert($0.tensor).inserted }.map { output in
      let tensor = try RoleReader.find(output, in: outputs, index: index)
      let shape = Array(output.shape.dropFirst())
      let count = shape.reduce(1, *)
      let values = [Float](unsafeUninitializedCapacity: count) { buffer, filled in
        if let out = buffer.baseAddress, let start = tensor.bytes.baseAddress {
          RoleReader.convert(
            start + index * count * tensor.type.size, count, tensor.type, output.quantization,
            into: out)
        }
        filled = count
      }
      return RawOutput(tensor: output.tensor, shape: shape, values: values)
    }
  }
}
