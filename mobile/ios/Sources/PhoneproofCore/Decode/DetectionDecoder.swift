/// Detections from a head, or from final detections that the file chose itself.
final class DetectionDecoder {
  private static let finalDetections = 300

  private let contract: Contract
  private let policy: DecodePolicy
  private let isFinalInFile: Bool
  private let boxes: BoxReader
  private let scores: RoleReader
  private let objectness: RoleReader?
  private let finalRows: FinalRows?
  /// Columns whose label is not nil.
  private let columns: [Int]
  private let maxima: Memory<Float>
  private let row: Memory<Float>
  private var candidates: [Candidate] = []
  private var suppression = Suppression()

  init(_ contract: Contract, _ binding: Binding) throws {
    self.contract = contract
    guard let policy = binding.decodeOverride ?? contract.decode else {
      throw PhoneproofError.contract(.init("the contract has no decode", nextStep: Fields.rebuilt))
    }
    self.policy = policy
    isFinalInFile = binding.nmsInFile
    boxes = try BoxReader(binding, size: Self.inputSize(binding))
    let scores = try Role(.scores, binding)
    self.scores = RoleReader(scores)
    func has(_ role: OutputBinding.Role) -> Bool { binding.outputs.contains { $0.role == role } }
    if has(.classes) {
      finalRows = try FinalRows(contract, binding, scores: scores, boxes: boxes.role)
      objectness = nil
      columns = []
    } else {
      finalRows = nil
      try scores.require(anchorsOf: boxes.role)
      if has(.objectness) {
        let role = try Role(.objectness, binding)
        try role.require(anchorsOf: boxes.role)
        try role.require(width: 1)
        objectness = RoleReader(role)
      } else {
        objectness = nil
      }
      try Decoder.checkLabels(contract, scores.width)
      columns = (0..<scores.width).filter { contract.labels.isEmpty || contract.labels[$0] != nil }
    }
    maxima = Memory(scores.count)
    row = Memory(max(1, scores.width))
  }

  private static func inputSize(_ binding: Binding) throws -> Size {
    let shape = binding.input.shape
    guard shape.count == 4 else {
      throw PhoneproofError.binding(.init("the image input must have four axes", found: "\(shape)"))
    }
    let y = binding.input.layout == .channelsFirst ? 2 : 1
    return Size(height: shape[y], width: shape[y + 1])
  }

  func decode(_ outputs: [OutputTensor], plan: GeometryPlan, index: Int) throws -> [Detection] {
    candidates.removeAll(keepingCapacity: true)
    try boxes.open(outputs, index: index)
    try scores.open(outputs, index: index)
    try objectness?.open(outputs, index: index)
    if let finalRows {
      try finalRows.read(outputs, index: index, scores: scores) { self.add($0, $1, $2) }
    } else if !columns.isEmpty {
      addHeads()
    }
    if let nms = policy.nms, !isFinalInFile {
      Suppression.bestFirst(&candidates, limit: nms.preTopK)
      suppression.keep(of: candidates, nms)
      return detections(suppression.kept, plan)
    }
    Suppression.bestFirst(
      &candidates, limit: policy.nms?.maxDetections ?? Self.finalDetections)
    return detections(candidates, plan)
  }

  private func detections(_ kept: [Candidate], _ plan: GeometryPlan) -> [Detection] {
    kept.map {
      Detection(
        classIndex: $0.classIndex, label: contract.label(of: $0.classIndex), score: $0.score,
        box: plan.toOriginal($0.box))
    }
  }

  /// A candidate over the threshold with a finite box and a label.
  private func add(_ row: Int, _ classIndex: Int, _ score: Float) {
    guard score > Float(policy.confidence) else { return }
    if !contract.labels.isEmpty && contract.labels[classIndex] == nil { return }
    guard let box = finiteBox(row) else { return }
    candidates.append(Candidate(row: row, classIndex: classIndex, score: score, box: box))
  }

  private func finiteBox(_ row: Int) -> Box? {
    let box = boxes.box(row)
    let isFinite = box.x1.isFinite && box.y1.isFinite && box.x2.isFinite && box.y2.isFinite
    return isFinite ? box : nil
  }

  /// Few anchors pass: the largest number of each is the only pass over the whole head.
  private func addHeads() {
    let confidence = Float(policy.confidence)
    let isMonotone = scores.isMonotone
    if isMonotone { scores.maxima(columns, into: maxima.start) }
    for anchor in 0..<scores.role.count {
      let factor = objectness?.first(anchor) ?? 1
      if isMonotone && !(factor < 0) {
        guard scores.activated(maxima.start[anchor], row: anchor) * factor > confidence else {
          continue
        }
      }
      addAnchor(anchor, factor, confidence)
    }
  }

  private func addAnchor(_ anchor: Int, _ factor: Float, _ confidence: Float) {
    let values = row.start
    scores.read(anchor, into: values)
    if objectness != nil {
      for column in columns { values[column] = values[column] * factor }
    }
    var best = columns[0]
    for column in columns {
      if values[column].isNaN { return }
      if values[column] > values[best] { best = column }
    }
    guard values[best] > confidence, let box = finiteBox(anchor) else { return }
    if policy.multiLabel {
      for column in columns where values[column] > confidence {
        candidates.append(
          Candidate(row: anchor, classIndex: column, score: values[column], box: box))
      }
    } else {
      candidates.append(Candidate(row: anchor, classIndex: best, score: values[best], box: box))
    }
  }
}

/// Final detections: one score and the number of a class each, and maybe how many count.
final class FinalRows {
  /// ImageNet-21k has 21 841; a larger number is no class.
  private static let mostClasses = 32_768

  private let contract: Contract
  private let classes: RoleReader
  private let count: RoleReader?
  private let offset: Int

  init(_ contract: Contract, _ binding: Binding, scores: Role, boxes: Role) throws {
    self.contract = contract
    let classes = try Role(.classes, binding)
    for role in [scores, classes] {
      guard role.levels.count == 1, role.count == boxes.count else {
        throw Role.unfit(
          "\(role.name.rawValue) have another number of rows than the boxes", "\(role.count)")
      }
      try role.require(width: 1)
    }
    self.classes = RoleReader(classes)
    offset = classes.levels[0].output.classOffset
    if binding.outputs.contains(where: { $0.role == .count }) {
      let role = try Role(.count, binding)
      guard role.levels.count == 1, role.count * role.width == 1 else {
        throw Role.unfit("the number of detections is not one number", "\(role.count) rows")
      }
      count = RoleReader(role)
    } else {
      count = nil
    }
  }

  func read(
    _ outputs: [OutputTensor], index: Int, scores: RoleReader,
    add: (_ row: Int, _ classIndex: Int, _ score: Float) -> Void
  ) throws {
    try classes.open(outputs, index: index)
    var rows = scores.role.count
    if let count {
      try count.open(outputs, index: index)
      let value = count.first(0)
      guard value >= 0, value <= Float(rows), value == value.rounded(.toNearestOrEven) else {
        throw Role.unfit("the number of detections makes no sense", "\(value) for \(rows) rows")
      }
      rows = Int(value)
    }
    for row in 0..<rows {
      let score = scores.first(row)
      guard let label = try label(row), score != 0 else { continue }
      let most = contract.labels.isEmpty ? Self.mostClasses : contract.labels.count
      guard label < most else {
        throw Role.unfit("a detection's class is outside the labels", "\(label) of \(most)")
      }
      add(row, label, score)
    }
  }

  /// The label's index; nil for padding, whose class is negative.
  private func label(_ row: Int) throws -> Int? {
    let value = classes.first(row)
    let whole = value.rounded(.toNearestOrEven)
    // Quantised files give 3.9999 for 4; a class half way to the next is none.
    guard abs(value - whole) < 0.1, abs(value) < 0x1p31 else {
      throw Role.unfit("a detection's class is not a whole number", "\(value)")
    }
    guard whole >= 0 else { return nil }
    guard Int(whole) + offset >= 0 else {
      throw Role.unfit("the class offset of the binding makes a class negative", "\(whole)")
    }
    return Int(whole) + offset
  }
}
