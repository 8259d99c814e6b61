// The part of Core ML that the package uses, for type checking on Linux. Nothing here runs.
import CoreVideo
import Foundation

public enum MLComputeUnits: Int, Sendable { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

public final class MLModelConfiguration: NSObject {
  public var computeUnits = MLComputeUnits.all
}

public enum MLMultiArrayDataType: Int, Sendable { case double, float32, float16, int32 }

public enum MLFeatureType: Int, Sendable { case invalid, int64, double, string, image, multiArray }

public final class MLMultiArray: NSObject {
  public let shape: [NSNumber] = []
  public let strides: [NSNumber] = []
  public let dataType = MLMultiArrayDataType.float32
  public let dataPointer: UnsafeMutableRawPointer
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
    dataPointer = .allocate(byteCount: 1, alignment: 1)
  }
}

public final class MLFeatureValue: NSObject {
  public var multiArrayValue: MLMultiArray? { nil }
  public init(multiArray: MLMultiArray) {}
  public init(pixelBuffer: CVPixelBuffer) {}
}

public protocol MLFeatureProvider {
  var featureNames: Set<String> { get }
  func featureValue(for name: String) -> MLFeatureValue?
}

public final class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  public init(dictionary: [String: Any]) throws {}
  public var featureNames: Set<String> { [] }
  public func featureValue(for name: String) -> MLFeatureValue? { nil }
}

public final class MLFeatureDescription: NSObject { public let type = MLFeatureType.image }

public final class MLModelDescription: NSObject {
  public let inputDescriptionsByName: [String: MLFeatureDescription] = [:]
}

public enum MLComputeDevice {
  case cpu(NSObject)
  case gpu(NSObject)
  case neuralEngine(NSObject)
}

public final class MLModel: NSObject {
  public let modelDescription = MLModelDescription()
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
  public static func compileModel(at url: URL) throws -> URL { url }
  public static var availableComputeDevices: [MLComputeDevice] { [] }
  public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
    input
  }
}

public final class MLComputePlan: NSObject {
  public struct DeviceUsage { public let preferred: MLComputeDevice }

  public var modelStructure: MLModelStructure { .unsupported }
  public static func load(
    contentsOf url: URL, configuration: MLModelConfiguration
  ) async throws -> MLComputePlan { MLComputePlan() }
  public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? { nil }
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
