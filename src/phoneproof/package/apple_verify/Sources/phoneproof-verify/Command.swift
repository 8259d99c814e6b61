import Foundation
import GoldenVectors
import PhoneproofVerify

/// `swift run phoneproof-verify [--output FOLDER] [--sustained SECONDS] [ARTIFACT ...]`
@main
struct Command {
  static func main() async {
    do {
      let options = try Options(Array(CommandLine.arguments.dropFirst()))
      var kit = try VerifyKit()
      kit.effort.sustained = options.sustained
      let known = kit.payload.kit.artifacts
      let chosen = known.filter { options.artifacts.isEmpty || options.artifacts.contains($0.id) }
      guard !chosen.isEmpty else {
        throw VerifyError("no such artifact; there are \(known.map(\.id).joined(separator: ", "))")
      }
      var isRight = true
      for artifact in chosen {
        let made = try await kit.measure(artifact, into: options.output) { print($0) }
        isRight = isRight && made.results.looksRight(atLeast: artifact.leastDecibels)
        print("wrote \(made.file.path)")
      }
      print("now: phoneproof verify BUNDLE --results FILE, where the bundle was built")
      exit(isRight ? 0 : 1)
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(2)
    }
  }
}

private struct Options {
  var output = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
  var sustained = 0.0
  var artifacts: [String] = []

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--output":
        guard let value = rest.popFirst() else { throw VerifyError("--output takes a folder") }
        output = URL(fileURLWithPath: value)
      case "--sustained":
        guard let value = rest.popFirst().flatMap(Double.init), value >= 0, value.isFinite else {
          throw VerifyError("--sustained takes seconds")
        }
        sustained = value
      case _ where argument.hasPrefix("-"):
        throw VerifyError("usage: phoneproof-verify [--output FOLDER] [--sustained SECONDS] [ID]")
      default:
        artifacts.append(argument)
      }
    }
  }
}
