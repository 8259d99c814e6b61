// swift-tools-version:6.0
import PackageDescription

let package = Package(
  name: "Phoneproof",
  platforms: [.iOS(.v15), .macOS(.v12)],
  products: [
    .library(name: "Phoneproof", targets: ["Phoneproof"]),
    .library(name: "PhoneproofCore", targets: ["PhoneproofCore"]),
    .library(name: "PhoneproofLiteRT", targets: ["PhoneproofLiteRT"]),
  ],
  targets: [
    // Contract, pixels and decode in pure Swift: the same bits on every platform.
    .target(name: "PhoneproofCore"),
    // Models, engines and the device; what is Apple's own lies behind `canImport`.
    .target(name: "Phoneproof", dependencies: ["PhoneproofCore"]),
    // TFLite files on LiteRT 2.x, whose C API is looked up when it is loaded.
    .systemLibrary(name: "CLiteRT"),
    .target(name: "PhoneproofLiteRT", dependencies: ["CLiteRT", "Phoneproof", "PhoneproofCore"]),
    // Milliseconds of the pixel pipeline, as JSON.
    .executableTarget(name: "phoneproof-bench", dependencies: ["PhoneproofCore"]),
    .testTarget(name: "PhoneproofCoreTests", dependencies: ["PhoneproofCore"]),
    .testTarget(name: "PhoneproofTests", dependencies: ["Phoneproof"]),
    .testTarget(name: "PhoneproofLiteRTTests", dependencies: ["PhoneproofLiteRT"]),
  ]
)
