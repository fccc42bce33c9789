//! Command lines as a reader would type them.

use std::fmt::Write as _;

/// Words of a command line, quoted for a POSIX shell where they need it.
pub(super) fn line(words: &[String]) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            line.push_str(word);
        } else {
            write!(line, "'{}'", word.replace('\'', r"'\''"))
                .expect("a string takes everything that is written to it");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        let words = ["mr", "--set", "model.hidden=[32]", "", "it's", "a=b"].map(String::from);
        assert_eq!(
            line(&words),
            r"mr --set 'model.hidden=[32]' '' 'it'\''s' a=b"
        );
    }
}
