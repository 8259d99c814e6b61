/// Turns pictures into input tensors, exactly as training saw them. Coefficients and scratch memory
/// are kept for the sizes seen last: of these nothing is allocated any more. Safe to share; calls
/// of several threads wait for each other.
public final class PixelPipeline: @unchecked Sendable {
  public let input: ImageInput
  public let binding: InputBinding
  public let tables: ValueTables

  /// A camera gives one size, a gallery many.
  private static let mostPrepared = 4
  private let lock = Lock()
  private var prepared: [(size: Size, geometry: PreparedGeometry)] = []

  /// - Throws: `PhoneproofError.binding` where the binding is not one of this contract, or
  ///   `.unsupported`.
  public init(_ contract: Contract, _ binding: Binding) throws {
    (input, self.binding) = (contract.input, binding.input)
    tables = try ValueTables(input, self.binding)
    try checkShape()
  }

  init(_ input: ImageInput, _ binding: InputBinding) throws {
    (self.input, self.binding) = (input, binding)
    tables = try ValueTables(input, binding)
    try checkShape()
  }

  /// Bytes of one input tensor, batch 1.
  public var byteCount: Int {
    input.size.height * input.size.width * input.channelCount * binding.type.size
  }

  /// Fills `tensor`, in the binding's type and layout, batch 1.
  ///
  /// - Returns: what leads boxes back to the picture.
  /// - Throws: `PhoneproofError.geometry` where the contract has no place for this size,
  ///   `.image` where `tensor` is too small.
  @discardableResult
  public func fill(
    _ tensor: UnsafeMutableRawBufferPointer, from picture: Picture
  ) throws -> GeometryPlan {
    guard let start = tensor.baseAddress, tensor.count >= byteCount else {
      throw PhoneproofError.image(
        .init(
          "the tensor's memory is too small", found: "\(tensor.count) bytes",
          nextStep: "give \(byteCount) bytes (PixelPipeline.byteCount)"))
    }
    return try lock.held {
      let geometry = try geometry(Size(height: picture.height, width: picture.width))
      geometry.run(Source(picture), into: start)
      return geometry.plan
    }
  }

  private func geometry(_ size: Size) throws -> PreparedGeometry {
    if let index = prepared.firstIndex(where: { $0.size == size }) {
      return prepared[index].geometry
    }
    let plan = try GeometryPlan(input, height: size.height, width: size.width)
    for step in plan.steps where step.size.height * step.size.width > Picture.mostPixels {
      throw PhoneproofError.geometry(
        .init(
          "the geometry makes the picture too large", found: "\(size) becomes \(step.size)",
          nextStep: "crop the picture before it is given to this model"))
    }
    let made = PreparedGeometry(plan, input, try TensorWriter(input, binding, tables))
    if prepared.count == Self.mostPrepared { prepared.removeFirst() }
    prepared.append((size, made))
    return made
  }

  private func checkShape() throws {
    let (size, count) = (input.size, input.channelCount)
    let isFirst = binding.layout == .channelsFirst
    let wanted = isFirst ? [count, size.height, size.width] : [size.height, size.width, count]
    let given = binding.shape.dropFirst()
    guard given.count == 3, zip(given, wanted).allSatisfy({ $0 == $1 || $0 == -1 }) else {
      throw PhoneproofError.binding(
        .init(
          "input \(binding.tensor) does not have the contract's size",
          found: "shape \(binding.shape) (\(binding.layout.rawValue)), contract \(wanted)",
          nextStep: "use the contract and the binding of one bundle"))
    }
  }
}
