import Foundation
import PhoneproofCore

/// What was compared with what Python recorded.
public enum GoldenStage: String, Sendable, CaseIterable {
  /// After the geometry, before values are scaled.
  case pixels
  /// What the model is fed.
  case tensor
  /// Boxes or classes, of recorded outputs.
  case results
  /// What the engine computes.
  case outputs
}

/// A picture of which something else came out than in Python.
public struct GoldenDifference: Sendable, Equatable, CustomStringConvertible {
  /// Its id in the bundle's `golden/index.json`.
  public let picture: String
  public let stage: GoldenStage
  public let found: String
  /// The likely one, and so what to look at first.
  public internal(set) var cause: String

  public var description: String {
    "\(picture), \(stage.rawValue): \(found); likely cause: \(cause)"
  }
}

/// Proves that this app feeds its model what Python fed it, and reads the outputs as Python does,
/// by the lossless golden pictures of the bundle: their pixels are the same on every platform.
public struct GoldenProof: Sendable {
  private let folder: ModelFolder
  private let contract: Contract
  private let binding: Binding
  private let model: ModelFile
  private let decode: PictureDecoder
  private let cases: [Recorded]
  private let decoder: Decoder
  /// Tests put mistaken ones here.
  var tensors: PixelPipeline
  var pixels: PixelPipeline

  private struct Recorded: Sendable {
    let picture: GoldenIndex.Case
    let own: GoldenIndex.Outputs
  }

  /// - Parameters:
  ///   - model: the file within the bundle, `artifacts/model_float16.mlpackage` say.
  ///   - decode: reads golden pictures.
  /// - Throws: `PhoneproofError` where parts of the bundle are missing or do not fit, or where it
  ///   has no golden vectors of this model.
  public init(_ folder: ModelFolder, model path: String, decode: @escaping PictureDecoder) throws {
    self.folder = folder
    self.decode = decode
    contract = try Contract(json: folder.read("contract.json"))
    binding = try Binding(json: folder.read("\(path).binding.json"))
    try binding.require(contract)
    model = try ModelFile(folder.url.appendingPathComponent(path), sha256: binding.artifact)
    decoder = try Decoder(contract, binding)
    tensors = try PixelPipeline(contract, binding)
    pixels = try PixelPipeline(pixelsOf: contract)
    let index = try GoldenIndex(folder.read(GoldenIndex.path), contract)
    let id = index.id(of: model.sha256)
    cases = index.cases.filter(\.isLossless).compactMap { one in
      one.expected.artifacts.first { $0.artifact == id }.map { Recorded(picture: one, own: $0) }
    }
    guard !cases.isEmpty else {
      throw GoldenIndex.unfit("there is nothing to prove \(path) with", "no golden vectors of it")
    }
  }

  /// The ids of the pictures that are compared, at least one.
  public var pictures: [String] { cases.map(\.picture.id) }

  /// Pixels and tensors that differ in any bit, and results that differ: in order, class, box (by
  /// more than 1e-4 pixels) or score (by more than 1e-6). Results are those of recorded outputs, of
  /// the pictures whose outputs were kept whole. No engine is needed.
  ///
  /// - Returns: none where everything is equal.
  public func differences() throws -> [GoldenDifference] {
    let buffer = PixelBuffer()
    let found = try cases.compactMap { try difference($0, buffer) }
    return explained(found)
  }

  /// Pictures whose outputs are wrong on the accelerator that this device would choose.
  ///
  /// - Parameter leastDecibels: least signal-to-noise ratio of an output against the recorded one.
  /// - Throws: `PhoneproofError.engine` where no accelerator computes the model rightly.
  public func differences(
    on factory: any EngineFactory, limits: TrialLimits = TrialLimits(), leastDecibels: Double = 35
  ) throws -> [GoldenDifference] {
    let inputs = try cases.map { one in
      let fed = try tensor(tensors, of: picture(one, PixelBuffer()))
      return GoldenInput(
        input: Data(fed.bytes), outputs: try one.own.outputs.map { try $0.values(folder) })
    }
    let check = GoldenCheck(inputs, leastDecibels: leastDecibels)
    // Chosen by two pictures, as when the app opens the model.
    let first = GoldenCheck(Array(inputs.prefix(2)), leastDecibels: leastDecibels)
    let engine = try AcceleratedEngine(
      AcceleratorSearch(
        factory: factory, model: model, byteCount: tensors.byteCount, check: first,
        store: MemoryStore(), key: "proof", limits: limits, clock: SystemClock()))
    defer { engine.close() }
    return try zip(cases, inputs).compactMap { one, golden in
      let outputs = try golden.input.withUnsafeBytes { try engine.run($0) }
      guard let reason = check.reason(against: golden, outputs) else { return nil }
      return GoldenDifference(
        picture: one.picture.id, stage: .outputs, found: reason,
        cause: "\(engine.acceleratorInUse?.title ?? "nothing") computes something else here")
    }
  }

  private func picture(_ one: Recorded, _ buffer: PixelBuffer) throws -> Picture {
    let file = try GoldenIndex.checked(folder, one.picture.file, one.picture.sha256)
    try decode(file, contract.input, buffer)
    return try buffer.picture()
  }

  private func tensor(
    _ pipeline: PixelPipeline, of picture: Picture
  ) throws -> (bytes: [UInt8], plan: GeometryPlan) {
    var bytes = [UInt8](repeating: 0, count: pipeline.byteCount)
    let plan = try bytes.withUnsafeMutableBytes { try pipeline.fill($0, from: picture) }
    return (bytes, plan)
  }

  private func difference(_ one: Recorded, _ buffer: PixelBuffer) throws -> GoldenDifference? {
    let picture: Picture
    do {
      picture = try self.picture(one, buffer)
    } catch PhoneproofError.image(let problem) {
      return GoldenDifference(
        picture: one.picture.id, stage: .pixels, found: problem.failed,
        cause: "this device does not decode \(one.picture.file)")
    }
    let seen = try tensor(pixels, of: picture)
    let fed = try tensor(tensors, of: picture)
    let isSeen = Self.hash(seen.bytes) == one.picture.expected.pixels.sha256
    if isSeen && Self.hash(fed.bytes) == one.own.input.sha256 {
      return try resultDifference(one, fed.plan)
    }
    let compared = try ComparedTensor(
      fed.bytes, binding.input, with: one.own.input.values(folder), contract.input)
    return GoldenDifference(
      picture: one.picture.id, stage: isSeen ? .tensor : .pixels, found: compared.found,
      cause: isSeen ? compared.valueCause : compared.pixelCause)
  }

  private static func hash(_ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { SHA256.hexDigest(of: $0) }
  }

  private func resultDifference(_ one: Recorded, _ plan: GeometryPlan) throws -> GoldenDifference? {
    guard one.own.outputs.allSatisfy({ $0.every == 1 }) else { return nil }
    let recorded = try one.own.outputs.map { (tensor: $0, values: try $0.values(folder)) }
    let memory = recorded.map { one in
      let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: one.values.values.count, alignment: 16)
      one.values.values.copyBytes(to: bytes)
      return bytes
    }
    defer { for one in memory { one.deallocate() } }
    let outputs = zip(recorded, memory).map { one, bytes in
      OutputTensor(
        name: one.tensor.name, type: one.values.type, shape: one.tensor.shape,
        bytes: UnsafeRawBufferPointer(bytes))
    }
    let reason = ComparedResults.difference(of: try decoder.decode(outputs, plan: plan), one.own)
    return reason.map {
      GoldenDifference(
        picture: one.picture.id, stage: .results, found: $0,
        cause: "the decoder: threshold, suppression or box format")
    }
  }

  /// What all differing pictures have in common tells more than each one alone.
  private func explained(_ found: [GoldenDifference]) -> [GoldenDifference] {
    let differing = Set(found.map(\.picture))
    let flags = cases.map(\.picture).filter { differing.contains($0.id) }.map(\.flags)
    let isShared = !found.isEmpty && found.count < cases.count
    guard isShared, found.allSatisfy({ $0.stage == .pixels }),
      let sole = Self.soleCauses.first(where: { one in
        flags.allSatisfy { $0.contains(one.flag) }
      })
    else { return found }
    return found.map { one in
      var one = one
      one.cause = sole.cause
      return one
    }
  }

  private static let soleCauses: [(flag: String, cause: String)] = [
    ("exif_orientation", "the orientation tag (EXIF) is not heeded as the contract says"),
    ("alpha", "transparency is not dealt with as the contract says"),
    ("gray_file", "files without colour are decoded otherwise"),
    ("thin", "sides are rounded otherwise where a picture is very long"),
    ("upscaled", "pictures smaller than the input are enlarged otherwise"),
  ]
}
