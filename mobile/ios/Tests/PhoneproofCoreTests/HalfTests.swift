import XCTest

@testable import PhoneproofCore

final class HalfTests: XCTestCase {
  func testEveryHalfComesBack() {
    for bits in UInt16.min...UInt16.max {
      let wide = Half.widened(bits)
      if wide.isNaN {
        XCTAssertEqual(Half.narrowed(wide) & 0x7c00, 0x7c00)
      } else {
        XCTAssertEqual(Half.narrowed(wide), bits)
      }
    }
  }

  func testRounding() {
    XCTAssertEqual(Half.narrowed(1 + 0x1p-11), 0x3c00, "a tie goes to the even one")
    XCTAssertEqual(Half.narrowed(1 + 0x1.8p-10), 0x3c02)
    XCTAssertEqual(Half.narrowed(65519), 0x7bff)
    XCTAssertEqual(Half.narrowed(65520), 0x7c00)
    XCTAssertEqual(Half.narrowed(-0x1p-25), 0x8000)
    XCTAssertEqual(Half.widened(0x0001), 0x1p-24)
    XCTAssertEqual(Half.narrowed(2 - 0x1p-12), 0x4000, "a carry into the exponent")
  }
}
