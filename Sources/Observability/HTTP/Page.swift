/// The page at `/`: one document without anything from outside, put together from `Page/`.
enum Page {
  /// The document.
  static let document: [UInt8] = {
    let style = text(PackageResources.page_css)
    let script = [
      PackageResources.format_js, PackageResources.chart_js, PackageResources.cluster_js,
      PackageResources.nodes_js, PackageResources.filters_js, PackageResources.predictions_js,
      PackageResources.main_js,
    ].map { text($0) }.joined(separator: "\n")
    return Array(
      text(PackageResources.page_html)
        .replacing("/*style*/", with: style).replacing("/*script*/", with: script).utf8)
  }()

  static let gzipped = ContentCoding.gzip(document) ?? document
  static let tag = ContentCoding.tag(document, gzipped: false)

  /// Nothing is loaded but from this server, and nobody may frame it.
  private static let policy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    + "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    + "frame-ancestors 'none'"

  static let response = HTTPResponse(
    status: 200,
    headers: HTTPResponse.commonHeaders + [
      .init("Content-Type", "text/html; charset=utf-8"), .init("Cache-Control", "no-cache"),
      .init("ETag", tag), .init("Vary", "Accept-Encoding"),
      .init("Content-Security-Policy", policy),
    ], body: .bytes(document))

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
