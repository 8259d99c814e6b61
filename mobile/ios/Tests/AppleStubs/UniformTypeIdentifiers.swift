// swift-format-ignore-file
// The part of UniformTypeIdentifiers that the app uses, for type checking on Linux.
public struct UTType: Sendable {
  public let identifier: String
  public static let image = UTType(identifier: "public.image")
}
