// swift-format-ignore-file
// The part of SwiftUI (and of Combine) that the app uses, for type checking on Linux. Signatures as
// Apple documents them for iOS 15, isolated as in Xcode 16. Nothing here runs.
@_exported import UIKit

// MARK: Combine

public protocol ObservableObject: AnyObject {}

@propertyWrapper
public struct Published<Value> {
  public init(wrappedValue: Value) { stored = wrappedValue }
  private var stored: Value
  @available(*, unavailable) public var wrappedValue: Value {
    get { fatalError() }
    set { fatalError() }
  }
  public static subscript<Owner: ObservableObject>(
    _enclosingInstance owner: Owner,
    wrapped wrapped: ReferenceWritableKeyPath<Owner, Value>,
    storage storage: ReferenceWritableKeyPath<Owner, Published<Value>>
  ) -> Value {
    get { owner[keyPath: storage].stored }
    set { owner[keyPath: storage].stored = newValue }
  }
}

// MARK: State

@propertyWrapper
public struct State<Value> {
  public init(wrappedValue: Value) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<Value> { fatalError() }
}

extension State where Value: ExpressibleByNilLiteral {
  public init() { fatalError() }
}

@propertyWrapper
public struct Binding<Value> {
  public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
}

@MainActor @preconcurrency
@propertyWrapper
public struct StateObject<Object: ObservableObject> {
  nonisolated public init(wrappedValue: @autoclosure @escaping () -> Object) {}
  public var wrappedValue: Object { fatalError() }
}

// MARK: Views

@MainActor @preconcurrency
public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}

extension Never: View {
  public var body: Never { fatalError() }
}

public protocol PrimitiveView: View where Body == Never {}
extension PrimitiveView {
  public var body: Never { fatalError() }
}

@resultBuilder
public struct ViewBuilder {
  public static func buildBlock() -> EmptyView { EmptyView() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: View>(
    _ content: repeat each Content
  ) -> TupleView<(repeat each Content)> { TupleView() }
  public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
  public static func buildEither<First: View, Second: View>(
    first: First
  ) -> ConditionalContent<First, Second> { ConditionalContent() }
  public static func buildEither<First: View, Second: View>(
    second: Second
  ) -> ConditionalContent<First, Second> { ConditionalContent() }
}

public struct TupleView<Content>: PrimitiveView { nonisolated init() {} }
public struct ConditionalContent<First, Second>: PrimitiveView { nonisolated init() {} }
public struct EmptyView: PrimitiveView { nonisolated public init() {} }
extension Optional: View where Wrapped: View {
  public var body: Never { fatalError() }
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Sendable {
  public init(stringLiteral value: String) {}
}

public struct Text: PrimitiveView {
  public init(_ key: LocalizedStringKey) {}
  @_disfavoredOverload public init<Words: StringProtocol>(_ words: Words) {}
  public func font(_ font: Font?) -> Text { self }
  public func foregroundColor(_ color: Color?) -> Text { self }
}

public struct Font: Sendable {
  public static let headline = Font()
  public static let caption = Font()
  public static func system(size: CGFloat) -> Font { Font() }
}

public struct Color: PrimitiveView, Sendable {
  public static let black = Color(hue: 0, saturation: 0, brightness: 0)
  nonisolated public init(
    hue: Double, saturation: Double, brightness: Double, opacity: Double = 1
  ) {}
  nonisolated public func opacity(_ opacity: Double) -> Color { self }
}

public struct Image: PrimitiveView {
  public init(uiImage: UIImage) {}
  public func resizable() -> Image { self }
}

public struct Label<Title, Icon>: PrimitiveView {}
extension Label where Title == Text, Icon == Image {
  public init(_ title: LocalizedStringKey, systemImage: String) {}
  @_disfavoredOverload public init<Words: StringProtocol>(_ title: Words, systemImage: String) {}
}

public struct Spacer: PrimitiveView { public init() {} }

public enum HorizontalAlignment: Sendable { case leading, center, trailing }
public enum VerticalAlignment: Sendable { case top, center, bottom }
public enum Alignment: Sendable { case center }

public struct VStack<Content: View>: PrimitiveView {
  public init(
    alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil,
    @ViewBuilder content: () -> Content
  ) {}
}

public struct HStack<Content: View>: PrimitiveView {
  public init(
    alignment: VerticalAlignment = .center, spacing: CGFloat? = nil,
    @ViewBuilder content: () -> Content
  ) {}
}

public struct Group<Content: View>: PrimitiveView {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct ScrollView<Content: View>: PrimitiveView {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct TabView<Selection, Content: View>: PrimitiveView {}
extension TabView where Selection == Int {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct NavigationView<Content: View>: PrimitiveView {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct NavigationLink<Words: View, Destination: View>: PrimitiveView {}
extension NavigationLink where Words == Text {
  @_disfavoredOverload public init<Title: StringProtocol>(
    _ title: Title, @ViewBuilder destination: () -> Destination
  ) {}
}

public struct List<Selection, Content: View>: PrimitiveView {}
extension List where Selection == Never {
  public init(@ViewBuilder content: () -> Content) {}
  public init<Data: RandomAccessCollection, ID: Hashable, Row: View>(
    _ data: Data, id: KeyPath<Data.Element, ID>,
    @ViewBuilder rowContent: @escaping (Data.Element) -> Row
  ) where Content == ForEach<Data, ID, Row> {}
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content>: PrimitiveView {}
extension ForEach where Content: View {
  public init(
    _ data: Data, id: KeyPath<Data.Element, ID>,
    @ViewBuilder content: @escaping (Data.Element) -> Content
  ) {}
}
extension ForEach where Content: View, Data.Element: Identifiable, ID == Data.Element.ID {
  public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}

public struct Section<Parent, Content, Footer>: PrimitiveView {}
extension Section where Parent == Text, Content: View, Footer == EmptyView {
  public init(_ title: LocalizedStringKey, @ViewBuilder content: () -> Content) {}
}

public struct Button<Words: View>: PrimitiveView {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Words) {}
}
extension Button where Words == Text {
  public init(_ title: LocalizedStringKey, action: @escaping @MainActor () -> Void) {}
}

public struct Stepper<Words: View>: PrimitiveView {}
extension Stepper where Words == Text {
  public init<Value: Strideable>(
    _ title: LocalizedStringKey, value: Binding<Value>, in bounds: ClosedRange<Value>,
    step: Value.Stride = 1
  ) {}
}

public struct ProgressView<Words: View>: PrimitiveView {}
extension ProgressView where Words == Text {
  public init(_ title: LocalizedStringKey) {}
}

// MARK: Drawing

public struct Path: Sendable {
  public init(_ rect: CGRect) {}
  public mutating func addRect(_ rect: CGRect) {}
}

public struct FillStyle: Sendable { public init(eoFill: Bool = false, antialiased: Bool = true) {} }

public struct GraphicsContext {
  public struct Shading { public static func color(_ color: Color) -> Shading { Shading() } }
  public struct ResolvedText {
    public func measure(in size: CGSize) -> CGSize { size }
  }
  public mutating func translateBy(x: CGFloat, y: CGFloat) {}
  public mutating func scaleBy(x: CGFloat, y: CGFloat) {}
  public func fill(_ path: Path, with shading: Shading, style: FillStyle = FillStyle()) {}
  public func stroke(_ path: Path, with shading: Shading, lineWidth: CGFloat = 1) {}
  public func resolve(_ text: Text) -> ResolvedText { ResolvedText() }
  public func draw(_ text: ResolvedText, in rect: CGRect) {}
}

public struct Canvas: PrimitiveView {
  public init(renderer: @escaping (inout GraphicsContext, CGSize) -> Void) {}
}

// MARK: Modifiers

public struct ModifiedContent: PrimitiveView { nonisolated init() {} }

public protocol NavigationViewStyle {}
public struct StackNavigationViewStyle: NavigationViewStyle {}
extension NavigationViewStyle where Self == StackNavigationViewStyle {
  public static var stack: StackNavigationViewStyle { StackNavigationViewStyle() }
}

public protocol PrimitiveButtonStyle {}
public struct BorderedButtonStyle: PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedButtonStyle {
  public static var bordered: BorderedButtonStyle { BorderedButtonStyle() }
}

public enum TitleDisplayMode: Sendable { case automatic, inline, large }

public struct EdgeSet: OptionSet, Sendable {
  public let rawValue: Int8
  public init(rawValue: Int8) { self.rawValue = rawValue }
  public static let all = EdgeSet(rawValue: 15)
  public static let horizontal = EdgeSet(rawValue: 3)
}

public struct AccessibilityChildBehavior: Sendable {
  public static let combine = AccessibilityChildBehavior()
}

extension View {
  public func accessibilityElement(children: AccessibilityChildBehavior) -> some View {
    ModifiedContent()
  }
  public func accessibilityHidden(_ hidden: Bool) -> some View { ModifiedContent() }
  public func accessibilityHint(_ hint: LocalizedStringKey) -> some View { ModifiedContent() }
  public func accessibilityLabel(_ label: LocalizedStringKey) -> some View { ModifiedContent() }
  public func buttonStyle<Style: PrimitiveButtonStyle>(_ style: Style) -> some View {
    ModifiedContent()
  }
  public func disabled(_ disabled: Bool) -> some View { ModifiedContent() }
  public func font(_ font: Font?) -> some View { ModifiedContent() }
  public func ignoresSafeArea() -> some View { ModifiedContent() }
  public func navigationBarTitleDisplayMode(_ mode: TitleDisplayMode) -> some View {
    ModifiedContent()
  }
  @_disfavoredOverload
  public func navigationTitle<Title: StringProtocol>(_ title: Title) -> some View {
    ModifiedContent()
  }
  public func navigationTitle(_ title: LocalizedStringKey) -> some View { ModifiedContent() }
  public func navigationViewStyle<Style: NavigationViewStyle>(_ style: Style) -> some View {
    ModifiedContent()
  }
  public func onAppear(perform action: (() -> Void)? = nil) -> some View { ModifiedContent() }
  public func onDisappear(perform action: (() -> Void)? = nil) -> some View { ModifiedContent() }
  public func overlay<Above: View>(
    alignment: Alignment = .center, @ViewBuilder content: () -> Above
  ) -> some View { ModifiedContent() }
  public func padding(_ edges: EdgeSet = .all, _ length: CGFloat? = nil) -> some View {
    ModifiedContent()
  }
  public func scaledToFit() -> some View { ModifiedContent() }
  public func sheet<Item: Identifiable, Content: View>(
    item: Binding<Item?>, onDismiss: (() -> Void)? = nil,
    @ViewBuilder content: @escaping (Item) -> Content
  ) -> some View { ModifiedContent() }
  public func tabItem<Words: View>(@ViewBuilder _ label: () -> Words) -> some View {
    ModifiedContent()
  }
  public func task(
    priority: TaskPriority = .userInitiated,
    @_inheritActorContext _ action: sending @escaping @isolated(any) () async -> Void
  ) -> some View { ModifiedContent() }
  public func task<ID: Equatable>(
    id: ID, priority: TaskPriority = .userInitiated,
    @_inheritActorContext _ action: sending @escaping @isolated(any) () async -> Void
  ) -> some View { ModifiedContent() }
}

// MARK: UIKit inside SwiftUI

@MainActor @preconcurrency
public struct UIViewControllerRepresentableContext<Representable: UIViewControllerRepresentable> {
  public let coordinator: Representable.Coordinator
}

@MainActor @preconcurrency
public struct UIViewRepresentableContext<Representable: UIViewRepresentable> {
  public let coordinator: Representable.Coordinator
}

@MainActor @preconcurrency
public protocol UIViewControllerRepresentable: View where Body == Never {
  associatedtype UIViewControllerType: UIViewController
  associatedtype Coordinator = Void
  typealias Context = UIViewControllerRepresentableContext<Self>
  func makeUIViewController(context: Context) -> UIViewControllerType
  func updateUIViewController(_ controller: UIViewControllerType, context: Context)
  func makeCoordinator() -> Coordinator
}
extension UIViewControllerRepresentable {
  public var body: Never { fatalError() }
}
extension UIViewControllerRepresentable where Coordinator == Void {
  public func makeCoordinator() {}
}

@MainActor @preconcurrency
public protocol UIViewRepresentable: View where Body == Never {
  associatedtype UIViewType: UIView
  associatedtype Coordinator = Void
  typealias Context = UIViewRepresentableContext<Self>
  func makeUIView(context: Context) -> UIViewType
  func updateUIView(_ view: UIViewType, context: Context)
  func makeCoordinator() -> Coordinator
}
extension UIViewRepresentable {
  public var body: Never { fatalError() }
}
extension UIViewRepresentable where Coordinator == Void {
  public func makeCoordinator() {}
}

// MARK: App

@MainActor @preconcurrency
public protocol Scene {}

@resultBuilder
public struct SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: () -> Content) {}
}

@MainActor @preconcurrency
public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}
extension App {
  public static func main() {}
}
