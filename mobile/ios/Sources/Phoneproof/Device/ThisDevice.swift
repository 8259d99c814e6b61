import Foundation

/// What the system says of the device that this runs on.
public enum ThisDevice: Sendable {
  public static var facts: DeviceFacts {
    let model = model
    return DeviceFacts(
      model: model, name: DeviceNames.name(of: model), os: system, osVersion: systemVersion,
      chip: text("machdep.cpu.brand_string") ?? "")
  }

  /// `18.1`, `17.4.1`.
  public static var systemVersion: String {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    let patch = version.patchVersion == 0 ? "" : ".\(version.patchVersion)"
    return "\(version.majorVersion).\(version.minorVersion)\(patch)"
  }

  private static var system: String {
    #if os(iOS)
      return "iOS"
    #elseif os(macOS)
      return "macOS"
    #else
      return "Linux"
    #endif
  }

  /// `iPhone17,3`, `Mac15,6`; a simulator says so, because it runs on the Mac's units.
  private static var model: String {
    #if targetEnvironment(simulator)
      let pretended = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"] ?? ""
      return "Simulator \(pretended)"
    #elseif os(macOS)
      return text("hw.model") ?? "Mac"
    #else
      return text("hw.machine") ?? "unknown"
    #endif
  }

  private static func text(_ name: String) -> String? {
    #if canImport(Darwin)
      var size = 0
      guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 1 else { return nil }
      var value = [UInt8](repeating: 0, count: size)
      guard sysctlbyname(name, &value, &size, nil, 0) == 0 else { return nil }
      return String(decoding: value.prefix { $0 != 0 }, as: UTF8.self)
    #else
      return nil
    #endif
  }
}
