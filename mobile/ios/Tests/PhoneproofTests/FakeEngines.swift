import Foundation
import PhoneproofCore

@testable import Phoneproof

/// What a fake accelerator does.
enum Behaviour: Sendable {
  case right
  case throwsOnLoad
  case throwsOnRun
  case garbage
  case notANumber
  case hangsOnLoad
  case hangsOnRun
  /// Gives right values, but says that it computed on the CPU.
  case lies
  /// Right until so many runs are over.
  case breaksAfter(Int)
}

struct FakeFailure: Error {}

/// A clock that moves only when told to.
final class FakeClock: MonotonicClock, @unchecked Sendable {
  private let lock = Lock()
  private var time: UInt64 = 0
  var now: UInt64 { lock.held { time } }
  func pass(milliseconds: Double) { lock.held { time += UInt64(milliseconds * 1e6) } }
}

/// A classifier of three classes whose "network" copies three bytes of its input.
final class FakeEngine: Engine {
  let accelerator: Accelerator
  let placements: [Placement]
  private let behaviour: Behaviour
  private let clock: FakeClock
  private let milliseconds: Double
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 12, alignment: 4)
  private var runs = 0
  private let log: FakeLog

  init(
    _ accelerator: Accelerator, _ behaviour: Behaviour, _ milliseconds: Double, _ clock: FakeClock,
    _ log: FakeLog
  ) {
    self.accelerator = accelerator
    self.behaviour = behaviour
    self.milliseconds = milliseconds
    self.clock = clock
    self.log = log
    if case .lies = behaviour {
      placements = [Placement(.cpu, 9)]
    } else {
      placements = accelerator.kind == .npu ? [Placement(.npu, 7), Placement(.cpu, 2)] : []
    }
  }

  func run(_ input: UnsafeRawBufferPointer) throws -> [OutputTensor] {
    runs += 1
    clock.pass(milliseconds: milliseconds)
    let values = memory.bindMemory(to: Float.self)
    for i in 0..<3 { values[i] = FakeFactory.score(input, i) }
    switch behaviour {
    case .throwsOnRun: throw FakeFailure()
    case .garbage: (values[0], values[1], values[2]) = (values[1] + 0.3, values[2], values[0])
    case .notANumber: values[1] = .nan
    case .hangsOnRun: FakeFactory.hang()
    case .breaksAfter(let most) where runs > most: throw FakeFailure()
    default: break
    }
    return [
      OutputTensor(
        name: "scores", type: .float32, shape: [1, 3], bytes: UnsafeRawBufferPointer(memory))
    ]
  }

  func close() { log.add("close \(accelerator.name)") }

  deinit { memory.deallocate() }
}

final class FakeLog: @unchecked Sendable {
  private let lock = Lock()
  private var lines: [String] = []
  func add(_ line: String) { lock.held { lines.append(line) } }
  var all: [String] { lock.held { lines } }
}

struct FakeFactory: EngineFactory {
  let name = "Fake"
  let version = "1"
  let behaviours: [(accelerator: Accelerator, behaviour: Behaviour, milliseconds: Double)]
  let clock: FakeClock
  let log = FakeLog()
  var missing: [(accelerator: Accelerator, reason: String)] = []

  var candidates: [Accelerator] { behaviours.map(\.accelerator) }
  var unavailable: [(accelerator: Accelerator, reason: String)] { missing }

  func open(_ model: ModelFile, on accelerator: Accelerator) throws -> any Engine {
    log.add("open \(accelerator.name)")
    let one = behaviours.first { $0.accelerator == accelerator }!
    if case .throwsOnLoad = one.behaviour { throw FakeFailure() }
    if case .hangsOnLoad = one.behaviour { Self.hang() }
    return FakeEngine(accelerator, one.behaviour, one.milliseconds, clock, log)
  }

  /// Longer than any limit of these tests, and not for ever: the process must end.
  static func hang() { Thread.sleep(forTimeInterval: 3) }

  static func score(_ input: UnsafeRawBufferPointer, _ index: Int) -> Float {
    Float(input[index * 7]) / 512 + Float(index) / 16
  }
}

extension Accelerator {
  static let cpu = Accelerator(.cpu, "CPU")
  static let gpu = Accelerator(.gpu, "GPU")
  static let npu = Accelerator(.npu, "NPU")
}

/// The parts of a model of 4 x 4 pixels.
struct FakeModel {
  let contract: Contract
  let binding: Binding
  let file: ModelFile
  let check: GoldenCheck
  let golden: GoldenCase

  static let contractText = """
    {"schema":"phoneproof.contract/1","name":"fake","version":"1.0.0","task":"classify",\
    "inputs":[{"name":"image","geometry":[{"op":"resize","to":"stretch","size":[4,4],\
    "filter":"opencv.linear"}],"size":[4,4],"scale":1.0,"mean":[0.0,0.0,0.0],\
    "std":[1.0,1.0,1.0]}],"labels":["a",null,"c"]}
    """

  static func bindingText(contract: String) -> String {
    """
    {"contract":"\(contract)","format":"tflite","inputs":[{"tensor":"image",\
    "shape":[1,4,4,3],"layout":"NHWC","dtype":"uint8","normalise_in_file":true}],\
    "outputs":[{"tensor":"scores","role":"scores","shape":[1,3],"axes":["class"]}]}
    """
  }

  init() throws {
    contract = try Contract(json: Self.contractText.utf8)
    binding = try Binding(json: Self.bindingText(contract: contract.sha256).utf8)
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "model-\(UUID().uuidString).bin")
    try Data("a model".utf8).write(to: url)
    file = try ModelFile(url, sha256: nil)
    let input = Data((0..<48).map { UInt8($0 * 5) })
    let values = input.withUnsafeBytes { bytes in (0..<3).map { FakeFactory.score(bytes, $0) } }
    let output = GoldenOutput(
      name: "scores", type: .float32, values: values.withUnsafeBytes { Data($0) })
    let inputs = GoldenInput(input: input, outputs: [output])
    check = GoldenCheck([inputs])
    golden = GoldenCase(
      id: "ramp", isLossless: true, input: inputs,
      plan: try GeometryPlan(contract.input, height: 4, width: 4), inputSHA256: "")
  }

  static var options: VisionModelOptions {
    var options = VisionModelOptions()
    options.limits.loadSeconds = 0.5
    options.limits.runSeconds = 0.5
    options.store = MemoryStore()
    return options
  }

  func open(
    _ factory: FakeFactory, store: any SelectionStore = MemoryStore(), checked: Bool = true
  ) throws -> VisionModel {
    var options = Self.options
    options.store = store
    options.clock = factory.clock
    return try VisionModel(
      contract, binding, model: file, factory: factory, check: checked ? check : nil,
      options: options)
  }
}

/// Fills a buffer with a picture of 4 x 4 pixels.
func ramp(_ buffer: PixelBuffer) throws {
  let bytes = (0..<48).map { UInt8($0 * 5) }
  try bytes.withUnsafeBytes { buffer.fill(try Picture($0, height: 4, width: 4), exif: 1) }
}
