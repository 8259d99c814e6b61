// swift-tools-version:6.0
import PackageDescription

// Apple's frameworks are not ready for the checks of Swift 6 everywhere.
let settings: [SwiftSetting] = [.swiftLanguageMode(.v5)]

let package = Package(
  name: "PhoneproofVerify",
  platforms: [.iOS(.v15), .macOS(.v12)],
  products: [
    .library(name: "PhoneproofVerify", targets: ["PhoneproofVerify"]),
    .executable(name: "phoneproof-verify", targets: ["phoneproof-verify"]),
  ],
  targets: [
    // The core of the Phoneproof library: hashes, half floats, element types.
    .target(name: "PhoneproofCore"),
    // Reads golden vectors, measures and writes: no Apple framework, so it runs everywhere. Device
    // is the Phoneproof library's too: what it is, and the document that is written.
    .target(name: "GoldenVectors", dependencies: ["PhoneproofCore"]),
    // Core ML and Core AI, and the models with their vectors (Payload).
    .target(
      name: "PhoneproofVerify",
      dependencies: ["GoldenVectors", "PhoneproofCore"],
      resources: [.copy("Payload")],
      swiftSettings: settings
    ),
    .executableTarget(
      name: "phoneproof-verify", dependencies: ["PhoneproofVerify"], swiftSettings: settings),
    .testTarget(name: "GoldenVectorsTests", dependencies: ["GoldenVectors"]),
    .testTarget(
      name: "PhoneproofVerifyTests", dependencies: ["PhoneproofVerify"], swiftSettings: settings),
  ]
)
