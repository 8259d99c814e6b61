// The part of Core ML that the kit uses. A "model" here replays outputs from the folder that the
// environment names: REPLAY/<case>/input.bin and REPLAY/<case>/<output>.bin. Whatever is fed must
// be one of the recorded inputs, to the last bit.
import CoreVideo
import Foundation

public enum MLComputeUnits: Int, Sendable {
  case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

public final class MLModelConfiguration: NSObject {
  public var computeUnits = MLComputeUnits.all
}

public enum MLMultiArrayDataType: Int, Sendable { case double, float32, float16, int32 }

public enum MLFeatureType: Int, Sendable { case invalid, int64, double, string, image, multiArray }

public final class MLMultiArray: NSObject {
  public let shape: [NSNumber]
  public let strides: [NSNumber]
  public let dataType: MLMultiArrayDataType
  public let dataPointer: UnsafeMutableRawPointer
  let bytes: Int

  public convenience init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
    self.init(shape: shape, dataType: dataType, gap: 0)
  }

  /// `gap`: elements that no index reaches at the end of each row.
  init(shape: [NSNumber], dataType: MLMultiArrayDataType, gap: Int) {
    self.shape = shape
    self.dataType = dataType
    var expected = 1
    var found: [NSNumber] = []
    for (axis, size) in shape.enumerated().reversed() {
      found.insert(NSNumber(value: expected), at: 0)
      expected *= size.intValue + (axis == shape.count - 1 ? gap : 0)
    }
    strides = found
    bytes = expected * (dataType == .float16 ? 2 : 4)
    dataPointer = .allocate(byteCount: max(1, bytes), alignment: 16)
  }

  deinit { dataPointer.deallocate() }
}

public final class MLFeatureValue: NSObject {
  public let multiArrayValue: MLMultiArray?
  let buffer: CVPixelBuffer?

  public init(multiArray: MLMultiArray) {
    multiArrayValue = multiArray
    buffer = nil
  }

  public init(pixelBuffer: CVPixelBuffer) {
    multiArrayValue = nil
    buffer = pixelBuffer
  }

  /// What was fed, without the gaps between rows.
  var fed: Data {
    if let array = multiArrayValue { return Data(bytes: array.dataPointer, count: array.bytes) }
    guard let buffer else { return Data() }
    var data = Data()
    for row in 0..<buffer.height {
      let start = buffer.memory.advanced(by: row * buffer.bytesPerRow)
      data.append(Data(bytes: start, count: buffer.width * buffer.channels))
    }
    return data
  }
}

public protocol MLFeatureProvider {
  var featureNames: Set<String> { get }
  func featureValue(for name: String) -> MLFeatureValue?
}

public final class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  private let values: [String: MLFeatureValue]

  public init(dictionary: [String: Any]) throws {
    values = dictionary.compactMapValues { $0 as? MLFeatureValue }
  }

  public var featureNames: Set<String> { Set(values.keys) }

  public func featureValue(for name: String) -> MLFeatureValue? { values[name] }
}

public final class MLFeatureDescription: NSObject {
  public let type: MLFeatureType
  init(type: MLFeatureType) { self.type = type }
}

public final class MLModelDescription: NSObject {
  public let inputDescriptionsByName: [String: MLFeatureDescription]
  init(_ inputs: [String: MLFeatureDescription]) { inputDescriptionsByName = inputs }
}

public enum MLComputeDevice {
  case cpu(MLCPUComputeDevice)
  case gpu(MLGPUComputeDevice)
  case neuralEngine(MLNeuralEngineComputeDevice)
}

public final class MLCPUComputeDevice: NSObject {}
public final class MLGPUComputeDevice: NSObject {}
public final class MLNeuralEngineComputeDevice: NSObject {}

public final class MLModel: NSObject {
  private struct Replay: Decodable {
    struct Output: Decodable {
      let name: String
      let shape: [Int]
      let float16: Bool
    }
    let input: String
    let isPicture: Bool
    let outputs: [Output]
    let cases: [String]
  }

  public let modelDescription: MLModelDescription
  private let replay: Replay
  private let folder: URL
  private let inputs: [String: Data]

  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
    let path = ProcessInfo.processInfo.environment["PHONEPROOF_REPLAY"] ?? ""
    folder = URL(fileURLWithPath: path)
    let data = try Data(contentsOf: folder.appendingPathComponent("replay.json"))
    let replay = try JSONDecoder().decode(Replay.self, from: data)
    self.replay = replay
    let folder = self.folder
    inputs = try Dictionary(
      uniqueKeysWithValues: replay.cases.map {
        ($0, try Data(contentsOf: folder.appendingPathComponent("\($0)/input.bin")))
      })
    let type: MLFeatureType = replay.isPicture ? .image : .multiArray
    modelDescription = MLModelDescription([replay.input: MLFeatureDescription(type: type)])
  }

  public static func compileModel(at url: URL) throws -> URL {
    let place = FileManager.default.temporaryDirectory
      .appendingPathComponent("\(UUID().uuidString).mlmodelc")
    try FileManager.default.copyItem(at: url, to: place)
    return place
  }

  public static var availableComputeDevices: [MLComputeDevice] {
    let lacks = ProcessInfo.processInfo.environment["PHONEPROOF_NO_NEURAL_ENGINE"] != nil
    let some: [MLComputeDevice] = [.cpu(MLCPUComputeDevice()), .gpu(MLGPUComputeDevice())]
    return lacks ? some : some + [.neuralEngine(MLNeuralEngineComputeDevice())]
  }

  public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider {
    guard let fed = input.featureValue(for: replay.input)?.fed,
      let name = inputs.first(where: { $0.value == fed })?.key
    else { throw ReplayError.unknownInput }
    var values: [String: Any] = [:]
    for output in replay.outputs {
      let file = folder.appendingPathComponent("\(name)/\(output.name).bin")
      values[output.name] = MLFeatureValue(
        multiArray: Self.array(output, try Data(contentsOf: file)))
    }
    return try MLDictionaryFeatureProvider(dictionary: values)
  }

  /// An array with a gap behind each row, as Core ML's own may have.
  private static func array(_ output: Replay.Output, _ data: Data) -> MLMultiArray {
    let type: MLMultiArrayDataType = output.float16 ? .float16 : .float32
    let shape = output.shape.map { NSNumber(value: $0) }
    let array = MLMultiArray(shape: shape, dataType: type, gap: output.shape.count > 1 ? 3 : 0)
    let size = output.float16 ? 2 : 4
    let row = max(1, output.shape.last ?? 1)
    let step = output.shape.count > 1 ? row + 3 : row
    for start in stride(from: 0, to: data.count / size, by: row) {
      let from = data[start * size..<(start + row) * size]
      let to = array.dataPointer.advanced(by: start / row * step * size)
      from.withUnsafeBytes { to.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
    return array
  }
}

public enum ReplayError: Error { case unknownInput }

public final class MLComputePlan: NSObject {
  public struct DeviceUsage { public let preferred: MLComputeDevice }

  public let modelStructure: MLModelStructure

  private override init() {
    let names = ["const", "conv", "relu"]
    let operations = names.map { MLModelStructure.Program.Operation(operatorName: $0) }
    let block = MLModelStructure.Program.Block(operations: operations)
    modelStructure = .program(
      MLModelStructure.Program(functions: ["main": .init(block: block)]))
  }

  public static func load(
    contentsOf url: URL, configuration: MLModelConfiguration
  ) async throws -> MLComputePlan { MLComputePlan() }

  public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? {
    DeviceUsage(preferred: .neuralEngine(MLNeuralEngineComputeDevice()))
  }
}

public enum MLModelStructure {
  public struct Program {
    public struct Operation { public let operatorName: String }
    public struct Block { public let operations: [Operation] }
    public struct Function { public let block: Block }
    public let functions: [String: Function]
  }

  case neuralNetwork
  case program(Program)
  case unsupported
}
