import Foundation
import PhoneproofCore

/// The input of one golden case, as pixels and as the tensor that a model without an image input
/// takes.
public struct Input: Sendable {
  public let name: String
  public let channels: Channels
  public let height: Int
  public let width: Int
  /// Bytes in rows, channels innermost; nil where the pixels are no bytes.
  public let pixels: Data?
  public let tensor: Tensor

  init(spec: KitInput, table: Data?, pixels: Data?, tensor: Data?) throws {
    name = spec.name
    channels = spec.channels
    let count = spec.channels.count
    let isFirst = spec.layout == .channelsFirst
    guard spec.shape.count == 4, spec.shape[0] == 1, spec.shape[isFirst ? 1 : 3] == count else {
      throw VerifyError("input \(spec.name) of shape \(spec.shape) is no single picture")
    }
    height = spec.shape[isFirst ? 2 : 1]
    width = spec.shape[isFirst ? 3 : 2]
    self.pixels = pixels
    if let tensor {
      self.tensor = try Tensor(type: spec.dtype, shape: spec.shape, bytes: tensor)
    } else if let table, let pixels {
      guard pixels.count == height * width * count, table.count == count * 256 * spec.dtype.size
      else { throw VerifyError("pixels or table of input \(spec.name) have another size") }
      let bytes = Self.lookedUp(
        pixels, table, channels: count, size: spec.dtype.size, isFirst: isFirst)
      self.tensor = try Tensor(type: spec.dtype, shape: spec.shape, bytes: bytes)
    } else {
      throw VerifyError("input \(spec.name) has neither pixels nor a tensor")
    }
  }

  /// One look-up a pixel: the table says what each of the 256 values becomes in each channel.
  private static func lookedUp(
    _ pixels: Data, _ table: Data, channels: Int, size: Int, isFirst: Bool
  ) -> Data {
    let plane = pixels.count / channels
    var bytes = Data(count: pixels.count * size)
    bytes.withUnsafeMutableBytes { (out: UnsafeMutableRawBufferPointer) in
      pixels.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
        table.withUnsafeBytes { (table: UnsafeRawBufferPointer) in
          for index in 0..<pixels.count {
            let (place, channel) = index.quotientAndRemainder(dividingBy: channels)
            let target = isFirst ? channel * plane + place : index
            let entry = (channel * 256 + Int(source[index])) * size
            for byte in 0..<size { out[target * size + byte] = table[entry + byte] }
          }
        }
      }
    }
    return bytes
  }
}
