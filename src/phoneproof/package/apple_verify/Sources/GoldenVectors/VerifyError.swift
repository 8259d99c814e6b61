/// What went wrong, in words for whoever runs the kit.
public struct VerifyError: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
