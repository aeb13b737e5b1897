//! What bash has on its line: the words before the cursor, and how a word is to be written there so that bash reads it as
//! that word and as nothing else. Pure.

/// A line up to the cursor, as bash reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Whole words, without their quotes; the program's own name is the first.
    pub before: Vec<String>,
    /// What there is of the word at the cursor.
    pub last: String,
    /// How many bytes of `last` bash leaves alone: it replaces only what is behind its last word break.
    kept: usize,
    quote: Quote,
}

/// In which quotes the cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

impl Typed {
    /// Reads a line; `breaks` is `$COMP_WORDBREAKS`.
    pub fn read(line: &str, breaks: &str) -> Self {
        let mut typed = Self { before: Vec::new(), last: String::new(), kept: 0, quote: Quote::None };
        let mut begun = false;
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (typed.quote, c) {
                (Quote::None, c) if c.is_ascii_whitespace() => {
                    if std::mem::take(&mut begun) {
                        typed.before.push(std::mem::take(&mut typed.last));
                        typed.kept = 0;
                    }
                    continue;
                }
                (Quote::None, '\'') => typed.turns(Quote::Single),
                (Quote::None, '"') => typed.turns(Quote::Double),
                (Quote::Single, '\'') | (Quote::Double, '"') => typed.turns(Quote::None),
                (Quote::None, '\\') => typed.last.extend(chars.next()),
                (Quote::Double, '\\') => match chars.next() {
                    Some(c) if "$`\"\\".contains(c) => typed.last.push(c),
                    Some(c) => typed.last.extend(['\\', c]),
                    None => {}
                },
                (Quote::None, c) => {
                    let start = typed.last.len();
                    typed.last.push(c);
                    if breaks.contains(c) {
                        // Of all breaks this one belongs to the word that it begins: bash completes hosts with it.
                        typed.kept = if c == '@' { start } else { typed.last.len() };
                    }
                }
                (Quote::Single | Quote::Double, c) => typed.last.push(c),
            }
            begun = true;
        }
        typed
    }

    /// A quote opens or closes: bash's word begins behind it.
    fn turns(&mut self, quote: Quote) {
        self.quote = quote;
        self.kept = self.last.len();
    }

    /// What bash is to put in place of its word so that the whole becomes `word`, which begins with [`Typed::last`].
    pub fn replacement(&self, word: &str) -> String {
        let rest = word.get(self.kept..).unwrap_or_default();
        let mut written = String::new();
        for (at, c) in rest.char_indices() {
            match (self.quote, c) {
                (Quote::None, '#') if self.kept + at > 0 => written.push(c),
                (Quote::None, c) if c.is_alphanumeric() || "@%+=:,./_-".contains(c) => written.push(c),
                (Quote::None, c) => written.extend(['\\', c]),
                (Quote::Single, '\'') => written.push_str(r"'\''"),
                // In double quotes nothing but another kind of quotes keeps bash from looking into its history.
                (Quote::Double, '!') => written.push_str("\"'!'\""),
                (Quote::Double, c) if "$`\"\\".contains(c) => written.extend(['\\', c]),
                (Quote::Single | Quote::Double, c) => written.push(c),
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    #[test]
    fn a_line_is_read_as_bash_reads_it() {
        let read = |line: &str| {
            let typed = Typed::read(line, BREAKS);
            (typed.before.join("|"), typed.last.clone(), typed.last[typed.kept..].to_owned())
        };
        let told = |before: &str, last: &str, word: &str| (before.to_owned(), last.to_owned(), word.to_owned());
        assert_eq!(read("dogwatch  status "), told("dogwatch|status", "", ""));
        assert_eq!(read("dogwatch logs my\\ run tr"), told("dogwatch|logs|my run", "tr", "tr"));
        assert_eq!(read("dogwatch logs 'my r"), told("dogwatch|logs", "my r", "my r"));
        assert_eq!(read("dogwatch logs \"a \\\"b\" tr"), told("dogwatch|logs|a \"b", "tr", "tr"));
        assert_eq!(read("dogwatch logs a 'x'y"), told("dogwatch|logs|a", "xy", "y"));
        assert_eq!(read("dogwatch logs a train\\[lr=0"), told("dogwatch|logs|a", "train[lr=0", "0"));
        assert_eq!(read("dogwatch logs '' x"), told("dogwatch|logs|", "x", "x"));
        assert_eq!(read("dogwatch status @la"), told("dogwatch|status", "@la", "@la"));
        assert_eq!(read("dogwatch status ab\\"), told("dogwatch|status", "ab", "ab"));
    }

    #[test]
    fn what_is_put_there_is_one_word() {
        let put = |line: &str, word: &str| Typed::read(line, BREAKS).replacement(word);
        assert_eq!(put("dogwatch logs ", "tiny#1"), "tiny#1");
        assert_eq!(put("dogwatch logs ", "#1"), r"\#1");
        assert_eq!(put("dogwatch logs a ", "t[x=$(id); 'y']"), r"t\[x=\$\(id\)\;\ \'y\'\]");
        assert_eq!(put("dogwatch logs a t[x=", "t[x=1]"), r"1\]");
        assert_eq!(put("dogwatch logs 'a", "a'b!"), r"a'\''b!");
        assert_eq!(put("dogwatch logs \"a", "a\"$x!"), "a\\\"\\$x\"'!'\"");
    }
}
