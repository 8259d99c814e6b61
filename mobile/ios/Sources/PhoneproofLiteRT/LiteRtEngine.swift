import CLiteRT
import Foundation
import Phoneproof
import PhoneproofCore

/// A model that LiteRT compiled, with the buffers of its tensors. Outputs are read where LiteRT left
/// them: they stay locked until the next run.
final class LiteRtEngine: Engine {
  let accelerator: Accelerator
  let placements: [Placement] = []
  private let lite: LiteRtFunctions
  private var handles = LiteRtHandles()
  private var compiled: OpaquePointer?
  private var inputs: [OpaquePointer?] = []
  private var outputs: [OpaquePointer?] = []
  private var inputBytes = 0
  private var shapes: [TensorShape] = []
  private var tensors: [OutputTensor] = []
  private var lockedOutputs = 0

  init(_ lite: LiteRtFunctions, _ file: URL, _ accelerator: Accelerator) throws {
    self.lite = lite
    self.accelerator = accelerator
    do {
      try open(file, threads: accelerator.threads ?? 1)
    } catch {
      close()
      throw error
    }
  }

  deinit { close() }

  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
    guard let compiled else {
      throw PhoneproofError.closed(
        .init("the engine is closed", nextStep: "open it again, or close it after its last use"))
    }
    guard input.count == inputBytes, let start = input.baseAddress else {
      throw refused(
        "take the input", "\(input.count) bytes, the model's tensor has \(inputBytes)")
    }
    unlockOutputs()
    try locked(inputs[0], .write).copyMemory(from: start, byteCount: inputBytes)
    try check(lite.UnlockTensorBuffer(inputs[0]), "take the input")
    try check(
      lite.RunCompiledModel(compiled, 0, inputs.count, &inputs, outputs.count, &outputs),
      "run the model")
    for (index, buffer) in outputs.enumerated() {
      let start = try locked(buffer, .read)
      lockedOutputs += 1
      if tensors.count <= index || tensors[index].bytes.baseAddress != UnsafeRawPointer(start) {
        look(at: index, start)
      }
    }
    return tensors
  }

  /// Frees everything, last made first.
  func close() {
    unlockOutputs()
    compiled = nil
    tensors = []
    handles.free()
  }

  private func open(_ file: URL, threads: Int) throws {
    let lite = self.lite
    // Errors only: LiteRT reports each delegate it makes on standard error.
    var quiet = LiteRtEnvOption(tag: 25, type: 2, reserved: (0, 0), value: 3)
    let environment = try handles.make(
      "start", { lite.CreateEnvironment(1, &quiet, $0) }, free: { lite.DestroyEnvironment($0) })
    let model = try model(file, environment)
    let options = try options(threads)
    let compiled = try handles.make(
      "compile the model", { lite.CreateCompiledModel(environment, model, options, $0) },
      free: { lite.DestroyCompiledModel($0) })
    let signature = try given("read the model's signature") {
      lite.GetModelSignature(model, 0, $0)
    }
    try makeBuffers(environment, compiled, signature)
    self.compiled = compiled
  }

  private func model(_ file: URL, _ environment: OpaquePointer) throws -> OpaquePointer {
    let lite = self.lite
    do {
      return try handles.make(
        "read the file", { lite.CreateModelFromFile(environment, file.path, $0) },
        free: { lite.DestroyModel($0) })
    } catch {
      throw PhoneproofError.modelFile(
        .init(
          "LiteRT cannot read the model file", found: "\(file.path): \(error.problem.found)",
          nextStep: "give a whole TFLite file; Git LFS pointers and truncated copies look like this"
        ))
    }
  }

  private func options(_ threads: Int) throws -> OpaquePointer {
    let lite = self.lite
    let options = try handles.make(
      "make its options", { lite.CreateOptions($0) }, free: { lite.DestroyOptions($0) })
    try check(
      lite.SetOptionsHardwareAccelerators(options, LiteRtCode.cpu), "choose the CPU")
    let text = strdup("num_threads = \(threads)\n")
    let xnnpack = try given("set its threads") {
      lite.CreateOpaqueOptions("xnnpack", text, { free($0) }, $0)
    }
    let status = lite.AddOpaqueOptions(options, xnnpack)
    // Once they are added they are the options' own.
    if status != 0 { lite.DestroyOpaqueOptions(xnnpack) }
    try check(status, "set its threads")
    return options
  }

  private func makeBuffers(
    _ environment: OpaquePointer, _ compiled: OpaquePointer, _ signature: OpaquePointer
  ) throws {
    let lite = self.lite
    var (ins, outs) = (0, 0)
    try check(lite.GetNumSignatureInputs(signature, &ins), "count the inputs")
    try check(lite.GetNumSignatureOutputs(signature, &outs), "count the outputs")
    guard ins == 1, outs > 0 else {
      throw refused("feed this model", "\(ins) inputs and \(outs) outputs; one image is fed")
    }
    let image = try given("read the input") {
      lite.GetSignatureInputTensorByIndex(signature, 0, $0)
    }
    let needs = try given("read the input") {
      lite.GetCompiledModelInputBufferRequirements(compiled, 0, 0, $0)
    }
    let made = try buffer(environment, image, needs, "input")
    inputs = [made.buffer]
    inputBytes = made.shape.byteCount
    for index in 0..<outs {
      var name: UnsafePointer<CChar>?
      try check(lite.GetSignatureOutputName(signature, index, &name), "name an output")
      let tensor = try given("read an output") {
        lite.GetSignatureOutputTensorByIndex(signature, index, $0)
      }
      let needs = try given("read an output") {
        lite.GetCompiledModelOutputBufferRequirements(compiled, 0, index, $0)
      }
      let made = try buffer(environment, tensor, needs, name.map { String(cString: $0) } ?? "")
      outputs.append(made.buffer)
      shapes.append(made.shape)
    }
  }

  private func buffer(
    _ environment: OpaquePointer, _ tensor: OpaquePointer, _ needs: OpaquePointer, _ name: String
  ) throws -> (buffer: OpaquePointer, shape: TensorShape) {
    let lite = self.lite
    var type = LiteRtRankedTensorType()
    try check(lite.GetRankedTensorType(tensor, &type), "read the type of \(name)")
    let shape = try TensorShape(name, type)
    let buffer = try handles.make(
      "make memory for \(name)",
      { lite.CreateManagedTensorBufferFromRequirements(environment, &type, needs, $0) },
      free: { lite.DestroyTensorBuffer($0) })
    return (buffer, shape)
  }

  private func locked(
    _ buffer: OpaquePointer?, _ access: LiteRtCode.Access
  ) throws -> UnsafeMutableRawPointer {
    var start: UnsafeMutableRawPointer?
    try check(lite.LockTensorBuffer(buffer, &start, access.rawValue), "lock a tensor")
    guard let start else { throw refused("lock a tensor", "no memory") }
    return start
  }

  private func unlockOutputs() {
    for buffer in outputs.prefix(lockedOutputs) { _ = lite.UnlockTensorBuffer(buffer) }
    lockedOutputs = 0
  }

  /// LiteRT may give other memory than at the last run.
  private func look(at index: Int, _ start: UnsafeMutableRawPointer) {
    let shape = shapes[index]
    let tensor = OutputTensor(
      name: shape.name, type: shape.type, shape: shape.sides,
      bytes: UnsafeRawBufferPointer(start: start, count: shape.byteCount))
    if tensors.count <= index { tensors.append(tensor) } else { tensors[index] = tensor }
  }
}

/// Numbers of the C API.
enum LiteRtCode {
  static let cpu: Int32 = 1

  enum Access: Int32 { case read, write }

  static let types: [Int32: ElementType] = [
    1: .float32, 2: .int32, 3: .uint8, 4: .int64, 6: .bool, 7: .int16, 9: .int8, 10: .float16,
  ]
}

/// Name, type and sides of one tensor.
struct TensorShape {
  let name: String
  let type: ElementType
  let sides: [Int]

  var byteCount: Int { sides.reduce(type.size, *) }

  init(_ name: String, _ ranked: LiteRtRankedTensorType) throws {
    self.name = name
    guard let type = LiteRtCode.types[ranked.element_type] else {
      throw refused("give tensor \(name)", "element type \(ranked.element_type)")
    }
    self.type = type
    sides = withUnsafeBytes(of: ranked.dimensions) { raw in
      raw.bindMemory(to: Int32.self).prefix(Int(ranked.rank)).map(Int.init)
    }
    guard ranked.rank <= LITERT_MAX_RANK, sides.allSatisfy({ $0 > 0 }) else {
      throw refused("give tensor \(name)", "sides \(sides): they must be known")
    }
  }
}
