//! Rust source with everything blanked that is not code, or is code of tests only.
//!
//! A lexer of a page: enough to tell code from comments, strings and characters, and to find the
//! item that a `#[cfg(test)]` stands on. Blanked characters become spaces and newlines stay, so
//! line numbers hold.

/// Blanks comments, the insides of strings and characters, and test-only items.
pub(crate) fn code(source: &str) -> String {
    without_tests(&blanked(source))
}

fn blanked(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let end = skipped(&text, at);
        if end == at {
            out.push(text[at]);
            at += 1;
        } else {
            out.extend(
                text[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { c } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment, string or character that begins here ends; `at` itself if none does.
fn skipped(text: &[char], at: usize) -> usize {
    let next = text.get(at + 1).copied();
    let after_name = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    match text[at] {
        '/' if next == Some('/') => find(text, at, |c| c == '\n'),
        '/' if next == Some('*') => comment(text, at),
        '"' => string(text, at + 1),
        'r' if !after_name || text[at - 1] == 'b' => raw(text, at).unwrap_or(at),
        '\'' => character(text, at).unwrap_or(at),
        _ => at,
    }
}

fn find(text: &[char], from: usize, is: impl Fn(char) -> bool) -> usize {
    (from..text.len())
        .find(|&at| is(text[at]))
        .unwrap_or(text.len())
}

/// Block comments nest.
fn comment(text: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn string(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// `r"..."`, `r#"..."#` and so on.
fn raw(text: &[char], start: usize) -> Option<usize> {
    let open = find(text, start + 1, |c| c != '#');
    let hashes = open - start - 1;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let mut at = open + 1;
    loop {
        at = find(text, at, |c| c == '"') + 1;
        let closing = text.get(at..at + hashes)?;
        if closing.iter().all(|&c| c == '#') {
            return Some(at + hashes);
        }
    }
}

/// A character literal; a lifetime is none.
fn character(text: &[char], start: usize) -> Option<usize> {
    match (text.get(start + 1)?, text.get(start + 2)?) {
        ('\\', _) => Some((find(text, start + 3, |c| c == '\'') + 1).min(text.len())),
        (_, '\'') => Some(start + 3),
        _ => None,
    }
}

/// Blanks the items under `#[cfg(test)]` and `#[test]`, given source that is already blanked.
fn without_tests(blanked: &str) -> String {
    let text: Vec<char> = blanked.chars().collect();
    let mut out = text.clone();
    let mut at = 0;
    while at < text.len() {
        let Some(attribute) = attribute(&text, at) else {
            at += 1;
            continue;
        };
        let words: String = text[at..attribute]
            .iter()
            .filter(|c| !c.is_whitespace())
            .collect();
        if !only_in_tests(&words) {
            at = attribute;
            continue;
        }
        let end = item(&text, attribute);
        for place in &mut out[at..end] {
            if *place != '\n' {
                *place = ' ';
            }
        }
        at = end;
    }
    out.into_iter().collect()
}

/// The end of the attribute `#[...]` that begins here.
fn attribute(text: &[char], at: usize) -> Option<usize> {
    let opens = text[at] == '#' && text.get(at + 1) == Some(&'[');
    opens.then(|| balanced(text, at + 1))
}

fn only_in_tests(attribute: &str) -> bool {
    attribute == "#[test]"
        || attribute == "#[cfg(test)]"
        || attribute.starts_with("#[cfg(all(test,")
        || attribute.starts_with("#[cfg(any(test,")
}

/// The end of an item: its first braces at depth zero, or the `;` or `,` before any.
fn item(text: &[char], from: usize) -> usize {
    let mut at = from;
    while at < text.len() {
        match text[at] {
            '{' => return balanced(text, at),
            ';' | ',' => return at + 1,
            '}' => return at,
            '(' | '[' => at = balanced(text, at),
            _ => at += 1,
        }
    }
    at
}

/// Just after the bracket that closes the one here.
fn balanced(text: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in text.iter().enumerate().skip(open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(source: &str) -> String {
        code(source)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_strings_and_characters_are_blanked() {
        assert_eq!(kept("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(kept(r#"x("a \" }", 'b', '\'', '{') + y"#), "x( , , , ) + y");
        assert_eq!(kept(r##"x(r#"a " }"#, br"b") + y"##), "x( , b ) + y");
        assert_eq!(kept("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "a\n/* b\nc */\n\"d\ne\"\nf";
        assert_eq!(code(source).lines().count(), 6);
        assert_eq!(code(source).lines().nth(5), Some("f"));
    }

    #[test]
    fn test_items_are_blanked_and_what_follows_is_not() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { '}'; } }\nfn c() {}";
        assert_eq!(kept(source), "fn a() {} fn c() {}");
        assert_eq!(kept("#[cfg(test)]\nmod tests;\nfn c() {}"), "fn c() {}");
        assert_eq!(
            kept("#[cfg(test)]\nuse a::{b, c};\nfn c() {}"),
            "; fn c() {}"
        );
        assert_eq!(
            kept("#[cfg(not(test))]\nfn c() {}"),
            "#[cfg(not(test))] fn c() {}"
        );
    }
}
