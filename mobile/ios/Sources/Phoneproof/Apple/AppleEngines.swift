#if canImport(CoreML)
  import PhoneproofCore

  /// Core ML or Core AI, whichever a model file was made for.
  public enum AppleEngines {
    /// - Parameter path: the file within the bundle, `artifacts/model_float16.mlpackage` say.
    /// - Throws: `PhoneproofError.unsupported` for a Core AI file where there is no Core AI.
    public static func of(_ folder: ModelFolder, model path: String) throws -> any EngineFactory {
      let binding = try Binding(json: folder.read("\(path).binding.json"))
      guard binding.format == "coreai" else {
        return CoreMLEngines(try Contract(json: folder.read("contract.json")), binding)
      }
      #if canImport(CoreAI)
        if #available(iOS 27.0, macOS 27.0, *) { return CoreAIEngines(binding) }
      #endif
      throw PhoneproofError.unsupported(
        .init(
          "Core AI is not here to run \(path)", found: "system \(ThisDevice.systemVersion)",
          nextStep: "use a system with Core AI (27), an app built with an Xcode that knows it, or "
            + "the bundle's Core ML model"))
    }
  }
#endif
