// The part of Core AI that the kit uses, for type checking on Linux. Nothing here runs a model.
import Foundation

public struct Span<Element> {
  public let count: Int
  private let values: [Element]
  init(_ values: [Element]) {
    self.values = values
    count = values.count
  }
  public subscript(_ index: Int) -> Element { values[index] }
}

public enum ComputeUnitKind: Sendable {
  case cpu, gpu, neuralEngine
  public static var availableKinds: Set<ComputeUnitKind> { [.cpu, .gpu, .neuralEngine] }
}

public struct SpecializationOptions: Sendable {
  public static let `default` = SpecializationOptions(kind: nil)
  public static let cpuOnly = SpecializationOptions(kind: .cpu)
  private let kind: ComputeUnitKind?
  private init(kind: ComputeUnitKind?) { self.kind = kind }
  public init(preferredComputeUnitKind: ComputeUnitKind) { kind = preferredComputeUnitKind }
}

public struct AIModel: Sendable {
  public init(contentsOf url: URL, options: SpecializationOptions = .default) async throws {
    throw CocoaError(.fileReadNoSuchFile)
  }
  public func loadFunction(named name: String) throws -> InferenceFunction? { nil }
}

public struct NDArray {
  public enum ScalarType: Sendable { case float16, float32, int32, int8 }

  public struct View<Element> {
    public func withUnsafePointer<R>(
      _ body: (UnsafePointer<Element>, Span<Int>, Span<Int>) throws -> R
    ) rethrows -> R { fatalError("a stub") }
  }

  public struct MutableView<Element> {
    public mutating func copyElements(fromContentsOf elements: some Collection<Element>) {}
  }

  public let shape: [Int]
  public let scalarType: ScalarType

  public init(shape: [Int], scalarType: ScalarType) {
    self.shape = shape
    self.scalarType = scalarType
  }

  public func view<T: BitwiseCopyable>(as type: T.Type) -> View<T> { View() }

  public mutating func mutableView<T: BitwiseCopyable>(as type: T.Type) -> MutableView<T> {
    MutableView()
  }
}

public struct InferenceValue { public var ndArray: NDArray? { nil } }

public struct InferenceFunction: Sendable {
  public struct Outputs {
    public var names: some Collection<String> { [String]() }
    public mutating func remove(_ name: String) -> InferenceValue? { nil }
  }

  public func run(inputs: [String: NDArray]) async throws -> Outputs { Outputs() }
}
