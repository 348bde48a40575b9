//! A rule's words.

use super::RuleProblem;

/// A problem and the byte where it is.
pub(super) type Problem = (usize, RuleProblem);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Int(i64),
    Text(String),
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    /// How it is named in an error.
    pub(super) fn found(&self) -> String {
        match self {
            Self::Int(number) => format!("`{number}`"),
            Self::Text(_) => "a text".to_owned(),
            Self::Word(word) => format!("`{word}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "%", "-",
];

/// The words of a rule with their places; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if matches!(first, ' ' | '\t' | '\n' | '\r' | '\x0c') {
            at += 1;
            continue;
        }
        let (token, bytes) = match first {
            '0'..='9' => number(rest, at)?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                (Token::Word(word.to_owned()), word.len())
            }
            '"' | '\'' => quoted(rest, first, at)?,
            other => {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| unexpected(at, other))?;
                (Token::Symbol(symbol), symbol.len())
            }
        };
        tokens.push((token, at));
        at += bytes;
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

fn unexpected(at: usize, found: char) -> Problem {
    let problem = RuleProblem::Syntax {
        found: format!("{found:?}"),
        expected: "a field, a value or an operator",
    };
    (at, problem)
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), Problem> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = &rest[..end];
    match digits.parse() {
        Ok(number) => Ok((Token::Int(number), end)),
        Err(_) => Err(literal(at, digits, "a whole number below 2⁶³")),
    }
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token, usize), Problem> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\n' | '\r' => break,
            '\\' => text.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, same @ ('\\' | '"' | '\''))) => same,
                _ => {
                    let expected = r#"one of \\ \" \' \n \r \t"#;
                    return Err(literal(at + index, r"\", expected));
                }
            }),
            _ if letter == quote => return Ok((Token::Text(text), index + 1)),
            _ => text.push(letter),
        }
    }
    Err(literal(at, &quote.to_string(), "a text that ends on its line"))
}

pub(super) fn literal(at: usize, found: &str, expected: &'static str) -> Problem {
    let found = format!("`{found}`");
    (at, RuleProblem::Literal { found, expected })
}
