// swift-tools-version:5.9
import PackageDescription

let package = Package(
  name: "PhoneproofVerify",
  platforms: [.iOS(.v15), .macOS(.v12)],
  products: [
    .library(name: "PhoneproofVerify", targets: ["PhoneproofVerify"]),
    .executable(name: "phoneproof-verify", targets: ["phoneproof-verify"]),
  ],
  targets: [
    // Reads golden vectors, measures and writes: no Apple framework, so it runs everywhere.
    .target(name: "GoldenVectors"),
    // Core ML and Core AI, and the models with their vectors (Payload).
    .target(
      name: "PhoneproofVerify",
      dependencies: ["GoldenVectors"],
      resources: [.copy("Payload")]
    ),
    .executableTarget(name: "phoneproof-verify", dependencies: ["PhoneproofVerify"]),
    .testTarget(name: "GoldenVectorsTests", dependencies: ["GoldenVectors"]),
    .testTarget(name: "PhoneproofVerifyTests", dependencies: ["PhoneproofVerify"]),
  ]
)
