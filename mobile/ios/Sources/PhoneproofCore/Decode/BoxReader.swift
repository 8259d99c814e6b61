/// The box of an anchor, xyxy in pixels of the input tensor; each step one float32 operation,
/// without fused multiply-add (the table of `phoneproof.core.binding`).
final class BoxReader {
  private struct Anchor {
    let x: Float
    let y: Float
    let stride: Float
    let width: Float
    let height: Float
  }

  private let reader: RoleReader
  private let isDistribution: Bool
  private let box: BoxFormat
  private let anchors: Anchors?
  private let grid: Memory<Anchor>?
  private let size: Size
  private let offset: Float
  private let variances: [Float]
  private let scratch: Memory<Float>

  var role: Role { reader.role }

  init(_ binding: Binding, size: Size) throws {
    isDistribution = binding.outputs.contains { $0.role == .dfl }
    reader = RoleReader(try Role(isDistribution ? .dfl : .boxes, binding))
    let role = reader.role
    guard let box = role.levels[0].output.box,
      role.levels.allSatisfy({ $0.output.box == box })
    else { throw Role.unfit("the binding does not say what its boxes mean", "no one box format") }
    self.box = box
    self.size = size
    anchors = binding.anchors
    variances = (box.variances ?? [1, 1, 1, 1]).map { Float($0) }
    if isDistribution {
      guard role.width % 4 == 0, role.width >= 8, box.format == .ltrb, case .grid = binding.anchors
      else { throw Role.unfit("dfl must be four sides of bins on a grid", "\(role.width) values") }
    } else {
      try role.require(width: 4)
    }
    try Self.check(box, binding.anchors, rows: role.count)
    if case .grid(_, let offset) = binding.anchors {
      self.offset = Float(offset)
    } else {
      offset = 0
    }
    grid = try Self.grid(binding.anchors, role, size)
    scratch = Memory(max(4, role.width))
  }

  /// Whether the pair of anchors and format is a row of the table.
  private static func check(_ box: BoxFormat, _ anchors: Anchors?, rows: Int) throws {
    let isCorners = box.format == .xyxy || box.format == .yxyx
    var isKnown = (box.variances == nil || box.format == .ssd) && !(box.order == .yx && isCorners)
    switch anchors {
    case nil: isKnown = isKnown && box.units != .stride && (isCorners || box.format == .cxcywh)
    case .grid:
      isKnown = isKnown && box.units != .fraction && (box.format == .ltrb || box.format == .cxcywh)
    case .yolo: isKnown = isKnown && box.units != .fraction && box.format == .cxcywh
    case .priors(let priors):
      isKnown = isKnown && box.units != .stride && box.format == .ssd
      guard priors.count == rows * 4 else {
        throw Role.unfit(
          "the number of boxes is not that of the priors",
          "\(rows) boxes, \(priors.count / 4) priors")
      }
    }
    guard isKnown else {
      throw Role.unfit(
        "the binding's box format has no meaning with its anchors",
        "format \(box.format.rawValue), units \(box.units.rawValue)")
    }
  }

  private static func grid(_ anchors: Anchors?, _ role: Role, _ size: Size) throws -> Memory<
    Anchor
  >? {
    let strides: [Int]
    let shapes: [[Anchors.AnchorShape]]
    switch anchors {
    case .grid(let own, _):
      (strides, shapes) = (own, own.map { [.init(width: Double($0), height: Double($0))] })
    case .yolo(let own, let wh): (strides, shapes) = (own, wh)
    default: return nil
    }
    let cells = try cells(strides, shapes, role, size)
    var rows: [Anchor] = []
    for (level, cell) in cells.enumerated() {
      for shape in shapes[level] {
        for y in 0..<cell.height {
          for x in 0..<cell.width {
            rows.append(
              Anchor(
                x: Float(x), y: Float(y), stride: Float(strides[level]),
                width: Float(shape.width), height: Float(shape.height)))
          }
        }
      }
    }
    guard rows.count == role.count else { throw noGrid(role, cells) }
    return Memory(rows)
  }

  /// Rows and columns of each level: as the tensors say, else rounded up, else rounded down.
  private static func cells(
    _ strides: [Int], _ shapes: [[Anchors.AnchorShape]], _ role: Role, _ size: Size
  ) throws -> [Size] {
    let up = strides.map {
      Size(height: (size.height + $0 - 1) / $0, width: (size.width + $0 - 1) / $0)
    }
    let down = strides.map { Size(height: size.height / $0, width: size.width / $0) }
    let told = role.levels.compactMap(\.cells)
    if told.count == role.levels.count {
      for (index, cell) in told.enumerated().prefix(strides.count) {
        guard (down[index].height...up[index].height).contains(cell.height),
          (down[index].width...up[index].width).contains(cell.width)
        else { throw Role.unfit("the grid of a level is not that of its stride", "\(cell)") }
      }
      guard told.count == strides.count else { throw noGrid(role, told) }
      return told
    }
    for cells in [up, down] {
      let count = zip(shapes, cells).reduce(0) { $0 + $1.0.count * $1.1.height * $1.1.width }
      if count == role.count { return cells }
    }
    throw noGrid(role, up)
  }

  private static func noGrid(_ role: Role, _ cells: [Size]) -> PhoneproofError {
    Role.unfit(
      "the number of boxes is not that of the anchor grid",
      "\(role.count) boxes; grids \(cells.map(\.description).joined(separator: ", "))")
  }

  func open(_ outputs: [OutputTensor], index: Int) throws { try reader.open(outputs, index: index) }

  func box(_ row: Int) -> Box {
    let t = scratch.start
    reader.read(row, into: t)
    if isDistribution { Self.distances(t, bins: role.width / 4) }
    if box.order == .yx { (t[0], t[1], t[2], t[3]) = (t[1], t[0], t[3], t[2]) }
    switch anchors {
    case nil: return coordinates(t[0], t[1], t[2], t[3], box.format)
    case .priors(let priors):
      let (cx, cy) = (priors[row * 4], priors[row * 4 + 1])
      let (w, h) = (priors[row * 4 + 2], priors[row * 4 + 3])
      let (vx, vy) = (t[0] * variances[0], t[1] * variances[1])
      let (vw, vh) = (t[2] * variances[2], t[3] * variances[3])
      let (moveX, moveY) = (vx * w, vy * h)
      return coordinates(
        moveX + cx, moveY + cy, exponential(vw) * w, exponential(vh) * h, .cxcywh)
    case .yolo:
      let a = grid!.start[row]
      let (dx, dy) = (2 * t[0], 2 * t[1])
      let (cx, cy) = (dx - 0.5 + a.x, dy - 0.5 + a.y)
      let (w, h) = (2 * t[2], 2 * t[3])
      let (ww, hh) = (w * w, h * h)
      return Self.centred(cx * a.stride, cy * a.stride, ww * a.width, hh * a.height)
    case .grid:
      let a = grid!.start[row]
      let (x, y) = (a.x + offset, a.y + offset)
      if box.format == .ltrb {
        return Box(
          x1: (x - t[0]) * a.stride, y1: (y - t[1]) * a.stride, x2: (x + t[2]) * a.stride,
          y2: (y + t[3]) * a.stride)
      }
      return Self.centred(
        (x + t[0]) * a.stride, (y + t[1]) * a.stride, exponential(t[2]) * a.stride,
        exponential(t[3]) * a.stride)
    }
  }

  private func coordinates(
    _ a: Float, _ b: Float, _ c: Float, _ d: Float, _ format: BoxFormat.Format
  ) -> Box {
    var (a, b, c, d) = (a, b, c, d)
    if box.units == .fraction {
      let (h, w) = (Float(size.height), Float(size.width))
      let (first, second) = format == .yxyx ? (h, w) : (w, h)
      (a, b, c, d) = (a * first, b * second, c * first, d * second)
    }
    switch format {
    case .yxyx: return Box(x1: b, y1: a, x2: d, y2: c)
    case .cxcywh: return Self.centred(a, b, c, d)
    default: return Box(x1: a, y1: b, x2: c, y2: d)
    }
  }

  private static func centred(_ x: Float, _ y: Float, _ width: Float, _ height: Float) -> Box {
    let (halfX, halfY) = (width * 0.5, height * 0.5)
    return Box(x1: x - halfX, y1: y - halfY, x2: x + halfX, y2: y + halfY)
  }

  /// The expectation of each side's bins, into the first four values.
  private static func distances(_ t: UnsafeMutablePointer<Float>, bins: Int) {
    for side in 0..<4 {
      let logits = t + side * bins
      var most = logits[0]
      for k in 1..<bins where logits[k] > most || logits[k] != logits[k] { most = logits[k] }
      var (total, weighted): (Float, Float) = (0, 0)
      for k in 0..<bins {
        let power = exponential(logits[k] - most)
        total = total + power
        let part = power * Float(k)
        weighted = weighted + part
      }
      t[side] = weighted / total
    }
  }
}
