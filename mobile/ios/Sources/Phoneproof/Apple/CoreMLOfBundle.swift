#if canImport(CoreML)
  import PhoneproofCore

  extension CoreMLEngines {
    /// Core ML for a model of a bundle.
    ///
    /// - Parameter path: the file within it, `artifacts/model_float16.mlpackage` say.
    public init(_ folder: ModelFolder, model path: String) throws {
      let contract = try Contract(json: folder.read("contract.json"))
      self.init(contract, try Binding(json: folder.read("\(path).binding.json")))
    }
  }
#endif
