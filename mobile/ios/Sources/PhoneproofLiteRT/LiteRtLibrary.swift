import CLiteRT
import Foundation
import PhoneproofCore

/// The LiteRT C library in this process. It stays loaded for good: its exit handlers run when the
/// process ends.
final class LiteRtLibrary: @unchecked Sendable {
  /// Never changed once they are found.
  let functions: LiteRtFunctions

  /// - Parameter file: the library; nil where the app is linked with it.
  /// - Throws: `PhoneproofError.engine` where there is none, or another one.
  init(_ file: URL?) throws {
    guard let handle = dlopen(file?.path, RTLD_NOW | RTLD_LOCAL) else {
      throw PhoneproofError.engine(
        .init(
          "the LiteRT library cannot be loaded", found: dlerror().map { String(cString: $0) } ?? "",
          nextStep: "give the LiteRT 2.x library that was built for this system"))
    }
    var found = LiteRtFunctions()
    if let missing = litert_load(handle, &found) {
      throw PhoneproofError.engine(
        .init(
          "this is not LiteRT 2.x", found: "no function \(String(cString: missing))",
          nextStep: file == nil
            ? "link the app with LiteRT 2.x and keep its symbols, or name the library's file"
            : "give the LiteRT 2.x library; TensorFlow Lite has other functions"))
    }
    functions = found
  }
}

/// What was made, in the order in which it was made; freed in the reverse order.
struct LiteRtHandles {
  private var undo: [() -> Void] = []

  /// Makes one thing and remembers how to free it.
  ///
  /// - Throws: `PhoneproofError.engine` with the status that LiteRT gave.
  mutating func make(
    _ what: String, _ make: (UnsafeMutablePointer<OpaquePointer?>) -> LiteRtStatus,
    free: @escaping (OpaquePointer) -> Void
  ) throws(PhoneproofError) -> OpaquePointer {
    let made = try given(what, make)
    undo.append { free(made) }
    return made
  }

  mutating func free() {
    while let last = undo.popLast() { last() }
  }
}

/// Something that LiteRT owns.
func given(
  _ what: String, _ get: (UnsafeMutablePointer<OpaquePointer?>) -> LiteRtStatus
) throws(PhoneproofError) -> OpaquePointer {
  var found: OpaquePointer?
  try check(get(&found), what)
  guard let found else { throw refused(what, "nothing") }
  return found
}

func check(_ status: LiteRtStatus, _ what: String) throws(PhoneproofError) {
  guard status == 0 else { throw refused(what, "LiteRT status \(status)") }
}

func refused(_ what: String, _ found: String) -> PhoneproofError {
  .engine(
    .init(
      "LiteRT cannot \(what)", found: found,
      nextStep: "run `phoneproof verify` on the bundle; if it passes, use a newer LiteRT"))
}
