//! Reading a page as far as the tests need it.

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "img", "br", "hr"];

/// One tag: its name, the text of its attributes, and whether it opens an element.
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: &'a str,
    pub(crate) opens: bool,
}

/// Every tag of a page, in order; what stands in `style` is no page.
pub(crate) fn tags(page: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag that does not end");
        let inner = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if inner.starts_with('!') {
            continue;
        }
        let closed = inner.ends_with('/');
        let opens = !inner.starts_with('/');
        let inner = inner.trim_matches('/');
        let (name, attributes) = inner.split_once([' ', '\n']).unwrap_or((inner, ""));
        found.push(Tag {
            name,
            attributes,
            opens,
        });
        if opens && (closed || VOID.contains(&name)) {
            found.push(Tag {
                name,
                attributes: "",
                opens: false,
            });
        }
        if opens && name == "style" {
            rest = &rest[rest
                .find("</style>")
                .expect("a style sheet that does not end")..];
        }
    }
    found
}

/// Fails unless every element ends, in the order in which they began.
pub(crate) fn assert_balanced(page: &str) {
    let mut open = Vec::new();
    for tag in tags(page) {
        if tag.opens {
            open.push(tag.name);
        } else {
            assert_eq!(open.pop(), Some(tag.name), "an end without a beginning");
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// The value of an attribute of a tag.
pub(crate) fn attribute<'a>(tag: &Tag<'a>, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.attributes.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// How often elements of this name begin.
pub(crate) fn count(page: &str, name: &str) -> usize {
    tags(page)
        .iter()
        .filter(|tag| tag.opens && tag.name == name)
        .count()
}
