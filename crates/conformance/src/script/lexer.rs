//! The words of a script, with the lines they stand on.

use super::error::ScriptError;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `...`
    Ellipsis,
    /// `--name`
    Option(String),
    /// Digits with a point, as written.
    Decimal(String),
    /// Digits, or `0x` and hexadecimal ones.
    Integer(i64),
    /// Letters, digits, underscores.
    Word(String),
    /// Between double quotes.
    Text(String),
    /// Between backquotes.
    Command(String),
    /// Between `%{` and `}%`.
    Code(String),
    /// Any other sign.
    Sign(char),
}

/// A word and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: u32,
}

/// Cuts `text` into words; comments (`//` and `/* */`) and blanks are dropped.
pub(super) fn tokenize(file: &str, text: &str) -> Result<Vec<Placed>, ScriptError> {
    let mut lexer = Lexer { file, rest: text, line: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let line = lexer.line;
        match lexer.next_token()? {
            Some(token) => tokens.push(Placed { token, line }),
            None => return Ok(tokens),
        }
    }
}

struct Lexer<'a> {
    file: &'a str,
    rest: &'a str,
    line: u32,
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

impl<'a> Lexer<'a> {
    fn error(&self, message: impl Into<String>) -> ScriptError {
        ScriptError { file: self.file.to_owned(), line: self.line, message: message.into() }
    }

    /// Takes the next `len` bytes, and counts their lines.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        let lines = taken.bytes().filter(|&byte| byte == b'\n').count();
        self.line += u32::try_from(lines).unwrap_or(u32::MAX);
        self.rest = rest;
        taken
    }

    /// Takes up to and with `end`, which must come; without `end` it is what is returned.
    fn take_until(&mut self, end: &str) -> Result<&'a str, ScriptError> {
        let Some(len) = self.rest.find(end) else { return Err(self.error(format!("`{end}` is missing"))) };
        let taken = self.take(len);
        self.take(end.len());
        Ok(taken)
    }

    fn skip_blanks(&mut self) -> Result<(), ScriptError> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.take(blanks);
            if self.rest.starts_with("//") {
                let len = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(len);
            } else if self.rest.starts_with("/*") {
                self.take(2);
                self.take_until("*/")?;
            } else {
                return Ok(());
            }
        }
    }

    fn next_token(&mut self) -> Result<Option<Token>, ScriptError> {
        let rest = self.rest;
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let token = if rest.starts_with("...") {
            self.take(3);
            Token::Ellipsis
        } else if let Some(name) = rest.strip_prefix("--") {
            let len = name.find(|letter| !is_word(letter)).unwrap_or(name.len());
            self.take(2);
            Token::Option(self.take(len).to_owned())
        } else if rest.starts_with("%{") {
            self.take(2);
            Token::Code(self.take_until("}%")?.to_owned())
        } else if first == '"' || first == '`' {
            self.take(1);
            let text = self.take_until(if first == '"' { "\"" } else { "`" })?.to_owned();
            if first == '"' { Token::Text(text) } else { Token::Command(text) }
        } else if let Some(len) = decimal_len(rest) {
            Token::Decimal(self.take(len).to_owned())
        } else if is_word(first) || is_negative(rest) {
            let len = rest[1..].find(|letter| !is_word(letter)).map_or(rest.len(), |len| len + 1);
            let word = self.take(len);
            self.number_or_word(word)?
        } else {
            self.take(first.len_utf8());
            Token::Sign(first)
        };
        Ok(Some(token))
    }

    fn number_or_word(&self, word: &str) -> Result<Token, ScriptError> {
        let too_large = |_| self.error(format!("{word} is too large"));
        if let Some(digits) = word.strip_prefix("0x") {
            return i64::from_str_radix(digits, 16).map(Token::Integer).map_err(too_large);
        }
        let digits = word.strip_prefix('-').unwrap_or(word);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return word.parse().map(Token::Integer).map_err(too_large);
        }
        Ok(Token::Word(word.to_owned()))
    }
}

fn is_negative(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|digits| digits.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// The length of a number with a point at the start of `rest`; the point has a digit behind it, so that `0...0.2` begins
/// with a whole number.
fn decimal_len(rest: &str) -> Option<usize> {
    let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
    let fraction = rest.get(whole..)?.strip_prefix('.')?;
    let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
    (len > 0).then_some(whole + 1 + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        tokenize("test.pkt", text).unwrap().into_iter().map(|placed| placed.token).collect()
    }

    #[test]
    fn numbers_points_and_ellipses_are_told_apart() {
        let decimal = |text: &str| Token::Decimal(text.to_owned());
        assert_eq!(tokens("+.1"), [Token::Sign('+'), decimal(".1")]);
        assert_eq!(tokens("0.1...0.25"), [decimal("0.1"), Token::Ellipsis, decimal("0.25")]);
        assert_eq!(tokens("0...1"), [Token::Integer(0), Token::Ellipsis, Token::Integer(1)]);
        assert_eq!(
            tokens("S. 0x1f -1"),
            [Token::Word("S".to_owned()), Token::Sign('.'), Token::Integer(31), Token::Integer(-1)]
        );
        assert_eq!(tokens("- 1"), [Token::Sign('-'), Token::Integer(1)]);
    }

    #[test]
    fn comments_and_quotes_count_their_lines() {
        let placed = tokenize("test.pkt", "// one\n/* two\nthree */ a\n`b\nc` %{ d }%\ne").unwrap();
        let lines: Vec<_> = placed.iter().map(|placed| placed.line).collect();
        assert_eq!(lines, [3, 4, 5, 6]);
    }

    #[test]
    fn an_open_quote_is_an_error_with_its_line() {
        let error = tokenize("test.pkt", "\n`sysctl").unwrap_err();
        assert_eq!(error.to_string(), "test.pkt:2: ``` is missing");
    }
}
