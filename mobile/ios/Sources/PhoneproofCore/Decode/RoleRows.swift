/// One role's numbers in an output tensor: rows of values, one row an anchor, whatever the order of
/// the file's axes. Element (row, value) lies at `rows[row] + values[value]`.
struct RoleRows {
  enum Order {
    /// Of the anchors of one level: YOLOv5's, where a cell has several.
    case shapeFirst
    /// Of SSD's priors.
    case cellFirst

    var axes: [OutputBinding.Axis] {
      self == .shapeFirst ? [.anchor, .y, .x] : [.y, .x, .anchor]
    }
  }

  let output: OutputBinding
  let rows: [Int]
  let values: [Int]
  /// Rows that lie one beside the other: the fast way through a tensor is along them.
  let rowsAreContiguous: Bool

  private static let valueAxes: Set<OutputBinding.Axis> = [.coord, .classes, .channel]

  init(_ output: OutputBinding, order: Order) throws {
    self.output = output
    let shape = Array(output.shape.dropFirst())
    let axes = output.axes
    let found = axes.filter { Self.valueAxes.contains($0) }
    guard axes.count == shape.count, Set(axes).count == axes.count, found.count <= 1 else {
      throw Self.undescribed(output, "every axis after the batch once, at most one of values")
    }
    let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
    var inner = [0]
    for place in axes.indices where axes[place] == .bin || Self.valueAxes.contains(axes[place]) {
      inner = Self.spread(inner, shape[place], strides[place])
    }
    var outer = [0]
    var anchorsAt = 0
    let packed = output.packed
    if packed != 1 {
      guard packed >= 1, inner.count % packed == 0, !axes.contains(.anchor), !axes.contains(.bin)
      else { throw Self.undescribed(output, "\(packed) anchors packed in \(inner.count) values") }
      let width = inner.count / packed
      // Packed values are evenly spaced, so an anchor is a constant step.
      anchorsAt = width < inner.count ? inner[width] - inner[0] : 0
      inner = Array(inner.prefix(width))
    }
    for axis in order.axes {
      if axis == .anchor && packed != 1 {
        outer = Self.spread(outer, packed, anchorsAt)
      } else if let place = axes.firstIndex(of: axis) {
        outer = Self.spread(outer, shape[place], strides[place])
      }
    }
    let slice = output.slice ?? 0..<inner.count
    guard slice.upperBound <= inner.count else {
      throw PhoneproofError.outputs(
        .init(
          "the slice of output \(output.tensor) is outside the tensor",
          found: "\(slice) of \(inner.count) values", nextStep: Fields.rebuilt))
    }
    rows = outer
    values = Array(inner[slice])
    let first = outer[0]
    rowsAreContiguous = outer.indices.allSatisfy { outer[$0] == first + $0 }
  }

  private static func spread(_ offsets: [Int], _ count: Int, _ stride: Int) -> [Int] {
    offsets.flatMap { offset in (0..<count).map { offset + $0 * stride } }
  }

  private static func undescribed(_ output: OutputBinding, _ what: String) -> PhoneproofError {
    .outputs(
      .init(
        "the axes of output \(output.tensor) do not describe its shape",
        found: "axes \(output.axes.map(\.rawValue)) for shape \(output.shape) (batch first)",
        nextStep: "use the binding that was written for this file: it names \(what)"))
  }

  /// Rows and columns of the grid that the tensor covers; nil where its axes do not tell.
  var cells: Size? {
    guard let y = output.axes.firstIndex(of: .y), let x = output.axes.firstIndex(of: .x) else {
      return nil
    }
    return Size(height: output.shape[y + 1], width: output.shape[x + 1])
  }
}

/// A role over all of its levels, in the order of the anchors.
struct Role {
  let name: OutputBinding.Role
  let levels: [RoleRows]
  let count: Int
  let width: Int

  init(_ name: OutputBinding.Role, _ binding: Binding) throws {
    self.name = name
    var parts = binding.outputs.filter { $0.role == name }
    if parts.count != 1 {
      let numbers = parts.map { $0.level ?? -1 }
      guard !parts.isEmpty, numbers.sorted() == Array(parts.indices) else {
        throw Self.unfit(
          "the binding must carry \(name.rawValue) in one tensor or in levels 0, 1, 2 ...",
          "\(parts.count) outputs, levels \(numbers)")
      }
      parts.sort { ($0.level ?? 0) < ($1.level ?? 0) }
    }
    var order = RoleRows.Order.shapeFirst
    if case .priors = binding.anchors { order = .cellFirst }
    levels = try parts.map { try RoleRows($0, order: order) }
    count = levels.reduce(0) { $0 + $1.rows.count }
    width = levels[0].values.count
    guard levels.allSatisfy({ $0.values.count == levels[0].values.count }) else {
      throw Self.unfit("the levels of \(name.rawValue) have different numbers of values", "")
    }
  }

  func require(width expected: Int) throws {
    guard width == expected else {
      throw Self.unfit("\(name.rawValue) must have \(expected) value(s) an anchor", "\(width)")
    }
  }

  /// As many anchors as `other`, level by level where both have levels.
  func require(anchorsOf other: Role) throws {
    let isSplitAlike = levels.count == other.levels.count
    guard count == other.count,
      !isSplitAlike || zip(levels, other.levels).allSatisfy({ $0.rows.count == $1.rows.count })
    else {
      throw Self.unfit(
        "\(name.rawValue) have another number of anchors than the rest of the head",
        "\(levels.map(\.rows.count)) instead of \(other.levels.map(\.rows.count))")
    }
  }

  static func unfit(_ failed: String, _ found: String) -> PhoneproofError {
    .outputs(
      .init(failed, found: found, nextStep: "use the binding that was written for this file"))
  }
}
