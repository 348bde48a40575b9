//! Rust source as the checks see it: comments, and on demand strings, blanked out; lines and columns stay.

/// Which parts of the source to blank out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blank {
    Comments,
    CommentsAndStrings,
}

/// The source without its comments.
pub(super) fn without_comments(text: &str) -> String {
    Scanner::new(text).scan(Blank::Comments)
}

/// The source without comments and without what stands in strings.
pub(super) fn code(text: &str) -> String {
    Scanner::new(text).scan(Blank::CommentsAndStrings)
}

/// The lines of the documentation comments, without their marks.
pub(super) fn doc_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter_map(|line| {
        let rest = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
        (!rest.starts_with('/')).then_some(rest)
    })
}

/// Whether `text` holds `word` with no letter, digit or underscore around it.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        let open = !word.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        !is_part(before) && (open || !is_part(after))
    })
}

struct Scanner {
    input: Vec<char>,
    at: usize,
    output: String,
}

impl Scanner {
    fn new(text: &str) -> Self {
        Self {
            input: text.chars().collect(),
            at: 0,
            output: String::with_capacity(text.len()),
        }
    }

    fn scan(mut self, blank: Blank) -> String {
        let strings_stay = blank == Blank::Comments;
        while let Some(character) = self.peek(0) {
            match (character, self.peek(1)) {
                ('/', Some('/')) => self.skip_until(|scanner| scanner.peek(0) == Some('\n')),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(strings_stay),
                ('\'', _) => self.quote(strings_stay),
                _ => self.take(true),
            }
        }
        self.output
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.input.get(self.at + ahead).copied()
    }

    /// Moves one character on; a line end always stays, so that line numbers do.
    fn take(&mut self, keep: bool) {
        if let Some(character) = self.peek(0) {
            self.output
                .push(if keep || character == '\n' { character } else { ' ' });
            self.at += 1;
        }
    }

    fn skip_until(&mut self, end: impl Fn(&Self) -> bool) {
        while self.at < self.input.len() && !end(self) {
            self.take(false);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(character) = self.peek(0) {
            let change = match (character, self.peek(1)) {
                ('/', Some('*')) => 1,
                ('*', Some('/')) => -1,
                _ => 0,
            };
            self.take(false);
            if change != 0 {
                self.take(false);
                depth += change;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A string from its opening quote on; how it must end was said before the quote.
    fn string(&mut self, keep: bool) {
        let hashes = self.hashes_of_raw_string();
        self.take(true);
        while let Some(character) = self.peek(0) {
            let closes = match hashes {
                None if character == '\\' => {
                    self.take(keep);
                    false
                }
                None => character == '"',
                Some(count) => character == '"' && (1..=count).all(|ahead| self.peek(ahead) == Some('#')),
            };
            self.take(keep || closes);
            if closes {
                return;
            }
        }
    }

    /// The number of `#` when the quote here opens a raw string.
    fn hashes_of_raw_string(&self) -> Option<usize> {
        let before = self.input[..self.at].iter().rev();
        let count = before.clone().take_while(|character| **character == '#').count();
        let mut before = before.skip(count);
        if before.next() != Some(&'r') {
            return None;
        }
        let prefix = before.next();
        let ends_a_name =
            prefix.is_some_and(|c| (c.is_alphanumeric() || *c == '_') && !matches!(c, 'b' | 'c'));
        (!ends_a_name).then_some(count)
    }

    /// A character literal; a lone quote is a lifetime.
    fn quote(&mut self, keep: bool) {
        let length = match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                let close = (3..14).find(|ahead| self.peek(*ahead) == Some('\''));
                close.map_or(1, |ahead| ahead + 1)
            }
            (Some(_), Some('\'')) => 3,
            _ => 1,
        };
        for place in 0..length {
            self.take(keep || place == 0 || place + 1 == length);
        }
    }
}

#[cfg(test)]
#[path = "source_test.rs"]
mod tests;
