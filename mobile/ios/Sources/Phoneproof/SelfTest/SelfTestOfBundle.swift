import Foundation
import PhoneproofCore

extension SelfTest {
  /// The self-test of a model of a bundle, on this device.
  ///
  /// - Parameters:
  ///   - path: the file within the bundle, `artifacts/model_float16.mlpackage` say.
  ///   - decode: reads golden pictures.
  /// - Throws: `PhoneproofError` for a missing, altered or newer file, or where the bundle has no
  ///   golden vectors of this model.
  public init(
    _ folder: ModelFolder, model path: String, factory: any EngineFactory, decode: PictureDecoder,
    effort: SelfTestEffort = SelfTestEffort()
  ) throws {
    let contract = try Contract(json: folder.read("contract.json"))
    let binding = try Binding(json: folder.read("\(path).binding.json"))
    try binding.require(contract)
    let model = try ModelFile(folder.url.appendingPathComponent(path), sha256: binding.artifact)
    let pipeline = try PixelPipeline(contract, binding)
    guard
      let vectors = try GoldenVectors(
        folder, contract, artifact: model.sha256, pipeline: pipeline, decode: decode)
    else { throw GoldenIndex.unfit("there is nothing to test \(path) with", "no golden vectors") }
    try self.init(
      contract, binding, model: model, vectors: vectors, factory: factory,
      byteCount: pipeline.byteCount, device: ThisDevice.facts, thermal: SystemThermalSource(),
      effort: effort)
  }
}
