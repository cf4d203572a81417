//! Links of a proxied page, which the page wrote for its own root.
//!
//! Follows `k8s.io/apimachinery/pkg/util/proxy/transport.go`: a link that is a path from the root, with or without the
//! page's own host, gets the proxied path in front; everything else stays.

use std::borrow::Cow;

/// Rewrites links of one site.
#[derive(Debug)]
pub(super) struct Rewriter {
    /// The proxied path of the site's root, without a slash at its end.
    pub(super) prefix: String,
    /// The hosts by which the site may call itself.
    pub(super) hosts: Vec<String>,
}

/// Attributes that hold one link.
const LINKS: &[&str] = &[
    "action",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
];
/// Elements whose content is no markup.
const RAW: &[&str] = &["script", "style", "textarea", "title"];

// === impl Rewriter ===

impl Rewriter {
    /// One link.
    pub(super) fn link<'a>(&self, link: &'a str) -> Cow<'a, str> {
        let Some(path) = self.path_from_root(link) else { return Cow::Borrowed(link) };
        if path.starts_with(&self.prefix) {
            return Cow::Borrowed(link);
        }
        Cow::Owned(format!("{}{path}", self.prefix))
    }

    /// The path of a link to this site's root or below; none for relative links and other sites.
    fn path_from_root<'a>(&self, link: &'a str) -> Option<&'a str> {
        if link.starts_with('/') && !link.starts_with("//") {
            return Some(link);
        }
        let rest = ["http://", "https://", "//"].iter().find_map(|scheme| link.strip_prefix(scheme))?;
        let end = rest.find('/')?;
        self.hosts.iter().any(|host| *host == rest[..end]).then_some(&rest[end..])
    }

    /// A whole page. Bytes that are no text are left as they are.
    pub(super) fn page(&self, page: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(page.len() + page.len() / 8);
        let mut rest = page;
        while let Some(start) = find(rest, b"<") {
            output.extend_from_slice(&rest[..start]);
            rest = &rest[start..];
            let length = if rest.starts_with(b"<!--") {
                find(rest, b"-->").map_or(rest.len(), |end| end + 3)
            } else {
                tag_length(rest)
            };
            let (tag, after) = rest.split_at(length);
            self.tag(tag, &mut output);
            rest = after;
            if let Some(name) = raw_element(tag) {
                let end = find_end_tag(rest, name).unwrap_or(rest.len());
                output.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
        output.extend_from_slice(rest);
        output
    }

    /// Copies a tag, with its links rewritten.
    fn tag(&self, tag: &[u8], output: &mut Vec<u8>) {
        if !tag.get(1).is_some_and(u8::is_ascii_alphabetic) {
            return output.extend_from_slice(tag);
        }
        let mut rest = tag;
        while let Some(equals) = find(rest, b"=") {
            let (before, after) = rest.split_at(equals + 1);
            output.extend_from_slice(before);
            let space = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            output.extend_from_slice(&after[..space]);
            let (value, next) = value(&after[space..]);
            let link = std::str::from_utf8(value.text).ok().filter(|_| is_link(attribute(before)));
            output.extend_from_slice(value.quote);
            output.extend_from_slice(link.map(|link| self.link(link)).as_deref().map_or(value.text, str::as_bytes));
            output.extend_from_slice(value.quote);
            rest = next;
        }
        output.extend_from_slice(rest);
    }
}

/// The value of an attribute, with the quote around it.
struct Value<'a> {
    quote: &'a [u8],
    text: &'a [u8],
}

/// A value and what follows it.
fn value(bytes: &[u8]) -> (Value<'_>, &[u8]) {
    if let [b'"' | b'\'', inner @ ..] = bytes
        && let Some(end) = inner.iter().position(|byte| *byte == bytes[0])
    {
        return (Value { quote: &bytes[..1], text: &inner[..end] }, &inner[end + 1..]);
    }
    let end = bytes.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>').unwrap_or(bytes.len());
    (Value { quote: &[], text: &bytes[..end] }, &bytes[end..])
}

/// The attribute's name before an equals sign.
fn attribute(before: &[u8]) -> &[u8] {
    let name = before.strip_suffix(b"=").unwrap_or(before).trim_ascii_end();
    let start = name.iter().rposition(|byte| byte.is_ascii_whitespace() || *byte == b'/').map_or(0, |at| at + 1);
    &name[start..]
}

fn is_link(name: &[u8]) -> bool {
    LINKS.iter().any(|link| name.eq_ignore_ascii_case(link.as_bytes()))
}

/// The length of a tag with its closing bracket, which may stand in a quoted value before.
fn tag_length(tag: &[u8]) -> usize {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), _) if open == *byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn raw_element(tag: &[u8]) -> Option<&'static str> {
    let name = tag.strip_prefix(b"<")?;
    let end = name.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(name.len());
    RAW.iter().find(|raw| name[..end].eq_ignore_ascii_case(raw.as_bytes())).copied()
}

fn find_end_tag(bytes: &[u8], name: &str) -> Option<usize> {
    let length = name.len() + 2;
    bytes
        .windows(length)
        .position(|window| window.starts_with(b"</") && window[2..].eq_ignore_ascii_case(name.as_bytes()))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewriter() -> Rewriter {
        Rewriter { prefix: "/api/v1/pods/p/proxy".to_owned(), hosts: vec!["10.0.0.1:80".to_owned()] }
    }

    #[test]
    fn links_from_the_root_of_the_site_are_rewritten_and_no_others() {
        for (link, expected) in [
            ("/rewriteme", "/api/v1/pods/p/proxy/rewriteme"),
            ("/a/?q=1", "/api/v1/pods/p/proxy/a/?q=1"),
            ("http://10.0.0.1:80/x", "/api/v1/pods/p/proxy/x"),
            ("relative", "relative"),
            ("//cdn.example/x.js", "//cdn.example/x.js"),
            ("https://example.org/x", "https://example.org/x"),
            ("/api/v1/pods/p/proxy/again", "/api/v1/pods/p/proxy/again"),
            ("mailto:a@b", "mailto:a@b"),
        ] {
            assert_eq!(rewriter().link(link), expected, "{link}");
        }
    }

    #[test]
    fn a_page_keeps_everything_but_its_links() {
        for (page, expected) in [
            ("<a href=\"/rewriteme\">test</a>", "<a href=\"/api/v1/pods/p/proxy/rewriteme\">test</a>"),
            ("<IMG alt='a>b' SRC = '/i.png'/>", "<IMG alt='a>b' SRC = '/api/v1/pods/p/proxy/i.png'/>"),
            ("<a href=/x>", "<a href=/api/v1/pods/p/proxy/x>"),
            ("<p title=\"/x\">a = /x", "<p title=\"/x\">a = /x"),
            (
                "<script>a='<a href=\"/x\">'</script><link href=\"/y\">",
                "<script>a='<a href=\"/x\">'</script><link href=\"/api/v1/pods/p/proxy/y\">",
            ),
            ("<!-- <a href=\"/x\"> --><", "<!-- <a href=\"/x\"> --><"),
            ("1 < 2 <a href=\"/unclosed", "1 < 2 <a href=\"/unclosed"),
        ] {
            let rewritten = String::from_utf8(rewriter().page(page.as_bytes())).unwrap();
            assert_eq!(rewritten, expected, "{page}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass() {
        let page: Vec<u8> = (0..=255).chain(*b"<a href=\"\xff/\">").collect();
        assert_eq!(rewriter().page(&page), page);
    }
}
