#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// `exp` in float64, rounded to float32: the same bits on every platform.
@inline(__always)
func exponential(_ value: Float) -> Float { Float(exp(Double(value))) }

/// Gives float32 values of a role out of an engine's memory: dequantised, and activated on demand.
final class RoleReader {
  let role: Role
  /// Where each level's first row is among all anchors.
  private let starts: [Int]
  /// Converted tensors of the levels that are not float32 already.
  private var converted: [Memory<Float>?]
  private var data: [UnsafePointer<Float>]

  init(_ role: Role) {
    self.role = role
    var start = 0
    starts = role.levels.map { level in
      defer { start += level.rows.count }
      return start
    }
    converted = role.levels.map { _ in nil }
    data = []
    data.reserveCapacity(role.levels.count)
  }

  /// Looks at the tensors of one picture.
  func open(_ outputs: [OutputTensor], index: Int) throws {
    data.removeAll(keepingCapacity: true)
    for (place, level) in role.levels.enumerated() {
      let tensor = try Self.find(level.output, in: outputs, index: index)
      data.append(values(of: tensor, level.output, index: index, level: place))
    }
  }

  /// - Throws: `PhoneproofError.outputs` where the tensor is missing or has another shape.
  static func find(
    _ output: OutputBinding, in outputs: [OutputTensor], index: Int
  ) throws -> OutputTensor {
    guard let tensor = outputs.first(where: { $0.name == output.tensor }) else {
      throw Role.unfit(
        "output tensor \(output.tensor) is missing",
        outputs.map(\.name).joined(separator: ", "))
    }
    let count = output.shape.reduce(1, *)
    guard tensor.shape == output.shape, tensor.type == output.type,
      tensor.bytes.count >= count * tensor.type.size, let batch = output.shape.first,
      (0..<batch).contains(index)
    else {
      throw Role.unfit(
        "output tensor \(output.tensor) has another shape than its binding",
        "\(tensor.type.rawValue) \(tensor.shape) instead of \(output.type.rawValue) "
          + "\(output.shape), picture \(index)")
    }
    return tensor
  }

  private func values(
    of tensor: OutputTensor, _ output: OutputBinding, index: Int, level: Int
  ) -> UnsafePointer<Float> {
    let count = output.shape.dropFirst().reduce(1, *)
    let start = tensor.bytes.baseAddress! + index * count * tensor.type.size
    if tensor.type == .float32, output.quantization == nil, Int(bitPattern: start) % 4 == 0 {
      return start.assumingMemoryBound(to: Float.self)
    }
    let memory = converted[level] ?? Memory<Float>(count)
    converted[level] = memory
    Self.convert(start, count, tensor.type, output.quantization, into: memory.start)
    return UnsafePointer(memory.start)
  }

  /// `(q - zero point) * scale` in float32.
  static func convert(
    _ start: UnsafeRawPointer, _ count: Int, _ type: ElementType,
    _ quantization: Quantization?, into out: UnsafeMutablePointer<Float>
  ) {
    func load<Element: BitwiseCopyable>(_: Element.Type, _ number: (Element) -> Float) {
      for i in 0..<count {
        out[i] = number(
          start.loadUnaligned(fromByteOffset: i * MemoryLayout<Element>.size, as: Element.self))
      }
    }
    switch type {
    case .float32: load(Float.self) { $0 }
    case .float16: load(UInt16.self) { Half.widened($0) }
    case .int8: load(Int8.self) { Float($0) }
    case .uint8, .bool: load(UInt8.self) { Float($0) }
    case .int16: load(Int16.self) { Float($0) }
    case .int32: load(Int32.self) { Float($0) }
    case .int64: load(Int64.self) { Float($0) }
    }
    guard let quantization else { return }
    let (zero, scale) = (Float(quantization.zeroPoint), Float(quantization.scale))
    for i in 0..<count { out[i] = (out[i] - zero) * scale }
  }

  /// Whether a larger number always gives an activated value that is no smaller.
  var isMonotone: Bool { role.levels.allSatisfy { $0.output.activation != .softmax } }

  @inline(__always)
  private func level(of row: Int) -> Int {
    var level = 0
    while level + 1 < starts.count && row >= starts[level + 1] { level += 1 }
    return level
  }

  /// The activated values of one anchor.
  func read(_ row: Int, into out: UnsafeMutablePointer<Float>) {
    let place = level(of: row)
    let level = role.levels[place]
    let base = data[place] + level.rows[row - starts[place]]
    for (i, offset) in level.values.enumerated() { out[i] = base[offset] }
    Self.activate(out, level.values.count, level.output.activation)
  }

  /// The first value of one anchor, activated.
  func first(_ row: Int) -> Float {
    var value: Float = 0
    read(row, into: &value)
    return value
  }

  /// One value of one anchor that `maxima` gave, activated.
  func activated(_ value: Float, row: Int) -> Float {
    guard role.levels[level(of: row)].output.activation == .sigmoid else { return value }
    return Self.sigmoid(value)
  }

  /// The largest of the `columns` of every anchor before the activation; NaN where one is NaN.
  func maxima(_ columns: [Int], into out: UnsafeMutablePointer<Float>) {
    for (place, level) in role.levels.enumerated() {
      let to = out + starts[place]
      let count = level.rows.count
      if level.rowsAreContiguous {
        let first = data[place] + level.rows[0]
        for i in 0..<count { to[i] = -.infinity }
        for column in columns {
          let from = first + level.values[column]
          for i in 0..<count { to[i] = Self.larger(from[i], to[i]) }
        }
      } else {
        for i in 0..<count {
          let from = data[place] + level.rows[i]
          var most = -Float.infinity
          for column in columns { most = Self.larger(from[level.values[column]], most) }
          to[i] = most
        }
      }
    }
  }

  @inline(__always)
  private static func larger(_ value: Float, _ most: Float) -> Float {
    value > most || value != value ? value : most
  }

  static func sigmoid(_ value: Float) -> Float { 1 / (1 + exponential(-value)) }

  static func activate(
    _ values: UnsafeMutablePointer<Float>, _ count: Int, _ activation: OutputBinding.Activation
  ) {
    switch activation {
    case .none: break
    case .sigmoid:
      for i in 0..<count { values[i] = sigmoid(values[i]) }
    case .softmax:
      var most = -Float.infinity
      for i in 0..<count { most = larger(values[i], most) }
      var sum = 0.0
      for i in 0..<count {
        values[i] = exponential(values[i] - most)
        sum += Double(values[i])
      }
      for i in 0..<count { values[i] = values[i] / Float(sum) }
    }
  }
}
