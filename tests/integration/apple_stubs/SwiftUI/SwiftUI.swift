// The part of SwiftUI that the kit uses, for type checking on Linux. Nothing here is drawn.
import Foundation

public protocol View {
  associatedtype Body: View
  @ViewBuilder @MainActor var body: Body { get }
}

extension Never: View {
  public var body: Never { return fatalError("a stub") }
}

/// A view that is made of nothing else.
public protocol PrimitiveView: View where Body == Never {}

extension PrimitiveView {
  public var body: Never { return fatalError("a stub") }
}

@resultBuilder public enum ViewBuilder {
  public static func buildBlock<each Content: View>(
    _ content: repeat each Content
  ) -> TupleView<(repeat each Content)> { TupleView() }
  public static func buildIf<Content: View>(_ content: Content?) -> Group<Content> { Group() }
}

public struct TupleView<Contents>: PrimitiveView {}

public struct Group<Content>: PrimitiveView {}

@propertyWrapper public struct State<Value> {
  private let box: Box<Value>
  public init(wrappedValue: Value) { box = Box(wrappedValue) }
  public var wrappedValue: Value {
    get { box.value }
    nonmutating set { box.value = newValue }
  }
}

private final class Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

public enum HorizontalAlignment: Sendable { case leading, center, trailing }

public struct VStack<Content: View>: PrimitiveView {
  public init(
    alignment: HorizontalAlignment = .center, spacing: Double? = nil,
    @ViewBuilder content: () -> Content
  ) {}
}

public struct ScrollView<Content: View>: PrimitiveView {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: PrimitiveView {
  public init(
    _ data: Data, id: KeyPath<Data.Element, ID>,
    @ViewBuilder content: @escaping (Data.Element) -> Content
  ) {}
}

public struct Button: PrimitiveView {
  public init(_ title: some StringProtocol, action: @escaping @MainActor () -> Void) {}
}

public struct Text: PrimitiveView {
  public init(_ content: some StringProtocol) {}
}

public struct Font: Sendable {
  public static let headline = Font()
  public static let footnote = Font()
}

extension View {
  public func padding() -> some View { Group<Self>() }
  public func font(_ font: Font?) -> some View { Group<Self>() }
  public func disabled(_ isDisabled: Bool) -> some View { Group<Self>() }
  public func textSelection(_ selectability: TextSelection) -> some View { Group<Self>() }
}

public enum TextSelection: Sendable { case enabled, disabled }
