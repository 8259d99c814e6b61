import Dispatch
import Foundation
import PhoneproofCore

/// How a model is opened.
public struct VisionModelOptions: Sendable {
  public var limits = TrialLimits()
  /// Least signal-to-noise ratio of an accelerator's outputs against the golden ones.
  public var leastDecibels = 35.0
  /// Where the choice of an accelerator is remembered.
  public var store: any SelectionStore = FileStore.caches
  public var clock: any MonotonicClock = SystemClock()

  public init() {}
}

/// A model that sees exactly what training saw: pictures in, results out. Every function may be
/// called from any thread; calls that come at once are served one after the other. Inference takes
/// milliseconds to seconds: use the asynchronous forms where the main thread asks.
public final class VisionModel: @unchecked Sendable {
  public let contract: Contract
  public let binding: Binding
  private let pipeline: PixelPipeline
  private let decoder: Decoder
  private let engine: AcceleratedEngine
  private let tensor: Memory
  private let buffer = PixelBuffer()
  private let lock = Lock()
  private let queue = DispatchQueue(label: "phoneproof model")
  private var isClosed = false

  private final class Memory {
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) { bytes = .allocate(byteCount: max(1, count), alignment: 64) }
    deinit { bytes.deallocate() }
  }

  /// A model of a bundle.
  ///
  /// - Parameters:
  ///   - model: the file within the bundle, `artifacts/model_float16.mlpackage` say.
  ///   - factory: the library that runs it.
  ///   - decode: reads golden pictures; without it only the CPU is used.
  /// - Throws: `PhoneproofError` for a missing, altered or newer file, parts of several bundles, or
  ///   where no accelerator computes the model rightly.
  public convenience init(
    _ folder: ModelFolder, model path: String, factory: any EngineFactory,
    decode: PictureDecoder?, options: VisionModelOptions = VisionModelOptions()
  ) throws {
    let contract = try Contract(json: folder.read("contract.json"))
    let binding = try Binding(json: folder.read("\(path).binding.json"))
    let file = try ModelFile(folder.url.appendingPathComponent(path), sha256: binding.artifact)
    let pipeline = try PixelPipeline(contract, binding)
    let vectors = try decode.flatMap {
      try GoldenVectors(folder, contract, artifact: file.sha256, pipeline: pipeline, decode: $0)
    }
    try self.init(
      contract, binding, model: file, factory: factory,
      check: vectors?.check(leastDecibels: options.leastDecibels), options: options)
  }

  /// A model of parts that are there already.
  ///
  /// - Parameter check: nil uses nothing but the CPU.
  public init(
    _ contract: Contract, _ binding: Binding, model: ModelFile, factory: any EngineFactory,
    check: GoldenCheck?, options: VisionModelOptions = VisionModelOptions()
  ) throws {
    try binding.require(contract)
    self.contract = contract
    self.binding = binding
    pipeline = try PixelPipeline(contract, binding)
    decoder = try Decoder(contract, binding)
    tensor = Memory(pipeline.byteCount)
    engine = try AcceleratedEngine(
      AcceleratorSearch(
        factory: factory, model: model, byteCount: pipeline.byteCount, check: check,
        store: options.store, key: SelectionKey.text(model, factory), limits: options.limits,
        clock: options.clock))
  }

  deinit { engine.close() }

  /// What computes now. Does not wait for a call that is being served, as `whyNot` does not.
  public var acceleratorInUse: Accelerator? { engine.acceleratorInUse }

  /// Every other accelerator, with the reason against it.
  public var whyNot: [Trial] { engine.whyNot }

  /// Frees the engine; waits for a call that is being served. Later calls throw
  /// `PhoneproofError.closed`.
  public func close() {
    lock.held {
      isClosed = true
      engine.close()
    }
  }

  /// Detections, best first, in pixels of the upright picture.
  ///
  /// - Parameter fill: puts the upright picture into the buffer it is given.
  public func detect(_ fill: (PixelBuffer) throws -> Void) throws -> [Detection] {
    guard case .detections(let found) = try results(.detect, fill) else { return [] }
    return found
  }

  /// Classes, most probable first.
  public func classify(_ fill: (PixelBuffer) throws -> Void) throws -> [Classification] {
    guard case .classes(let found) = try results(.classify, fill) else { return [] }
    return found
  }

  /// The outputs of a model whose meaning the contract does not know.
  public func raw(_ fill: (PixelBuffer) throws -> Void) throws -> [RawOutput] {
    guard case .raw(let found) = try results(.raw, fill) else { return [] }
    return found
  }

  /// The tensor that the model is fed, for `phoneproof pixels --against`.
  public func pixelDump(_ fill: (PixelBuffer) throws -> Void) throws -> Data {
    try lock.held {
      try requireOpen()
      try fill(buffer)
      try pipeline.fill(tensor.bytes, from: buffer.picture())
      return Data(tensor.bytes.prefix(pipeline.byteCount))
    }
  }

  /// Runs `body` on the model's own queue, one call after the other.
  public func asynchronously<Value: Sendable>(
    _ body: @escaping @Sendable (VisionModel) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try body(self) }) }
    }
  }

  private func results(
    _ task: Contract.Task, _ fill: (PixelBuffer) throws -> Void
  ) throws -> Results {
    try lock.held {
      try requireOpen()
      guard contract.task == task else {
        throw PhoneproofError.unsupported(
          .init(
            "\(task.rawValue) is not what this model does", found: contract.task.rawValue,
            nextStep: "call \(contract.task.rawValue)"))
      }
      try fill(buffer)
      let plan = try pipeline.fill(tensor.bytes, from: buffer.picture())
      return try decoder.decode(engine.run(UnsafeRawBufferPointer(tensor.bytes)), plan: plan)
    }
  }

  private func requireOpen() throws {
    guard !isClosed else {
      throw PhoneproofError.closed(
        .init("the model is closed", nextStep: "open it again, or close it after its last use"))
    }
  }
}

/// What a choice of an accelerator is remembered under: another device, system, app or model is
/// tried anew.
enum SelectionKey {
  static func text(_ model: ModelFile, _ factory: any EngineFactory) -> String {
    let app = Bundle.main.infoDictionary?["CFBundleVersion"] as? String ?? ""
    let device = ThisDevice.facts
    return [device.model, device.osVersion, app, model.sha256, factory.name, factory.version]
      .joined(separator: "/")
  }
}
