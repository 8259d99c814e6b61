import Foundation
import Phoneproof
import PhoneproofCore

/// LiteRT 2.x on the CPU: TFLite files with 4, 2 and 1 threads. LiteRT trusts what a file says of
/// itself, and one that is cut off ends the app: give `ModelFile` the hash of the binding, as
/// `VisionModel` does.
public struct LiteRtEngines: EngineFactory {
  public let name = "LiteRT"
  public let version = "2"
  private let library: LiteRtLibrary

  /// - Parameter file: the LiteRT library (`libLiteRt.so`); nil where the app is linked with it.
  /// - Throws: `PhoneproofError.engine` where it is missing or another one.
  public init(library file: URL? = nil) throws {
    library = try LiteRtLibrary(file)
  }

  public var candidates: [Accelerator] {
    [4, 2, 1].map { Accelerator(.cpu, "CPU", threads: $0) }
  }

  public func open(_ model: ModelFile, on accelerator: Accelerator) throws -> any Engine {
    guard accelerator.kind == .cpu else {
      throw PhoneproofError.unsupported(
        .init(
          "LiteRT computes on the CPU here", found: accelerator.title,
          nextStep: "choose one of the factory's candidates"))
    }
    return try LiteRtEngine(library.functions, model.url, accelerator)
  }
}
