/// What a document takes as a text: one line, not too long.
func oneLine(_ text: String) -> String {
  let words = text.unicodeScalars.split { $0.value < 0x21 || $0.value == 0x7f }
  return String(
    words.map { String(String.UnicodeScalarView($0)) }.joined(separator: " ").prefix(400))
}
