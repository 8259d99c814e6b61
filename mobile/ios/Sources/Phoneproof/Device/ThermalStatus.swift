import Foundation

/// How hot the device says it is; Apple's four states.
public enum ThermalStatus: String, Sendable, Codable, CaseIterable {
  case nominal, fair, serious, critical, unknown
}

/// Where the thermal status comes from.
public protocol ThermalSource: Sendable {
  var status: ThermalStatus { get }
}

/// The thermal state that the system tells.
public struct SystemThermalSource: ThermalSource {
  public init() {}

  public var status: ThermalStatus {
    #if canImport(Darwin)
      switch ProcessInfo.processInfo.thermalState {
      case .nominal: return .nominal
      case .fair: return .fair
      case .serious: return .serious
      case .critical: return .critical
      @unknown default: return .unknown
      }
    #else
      return .unknown
    #endif
  }
}
