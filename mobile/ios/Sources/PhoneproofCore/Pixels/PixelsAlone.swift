extension PixelPipeline {
  /// Fills "tensors" with the pixels as they are after the geometry: height, width and the
  /// contract's channels, bytes or float32. What golden vectors record as pixels.
  public convenience init(pixelsOf contract: Contract) throws {
    let input = contract.input
    let binding = InputBinding(
      input: input.name, tensor: "pixels",
      shape: [1, input.size.height, input.size.width, input.channelCount], layout: .channelsLast,
      type: input.values == .uint8 ? .uint8 : .float32, quantization: nil, normaliseInFile: true)
    try self.init(input, binding)
  }
}
