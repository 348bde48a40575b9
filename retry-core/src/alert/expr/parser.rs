//! From words to a checked tree, by CEL's precedences: `||`, `&&`, comparisons and `in`, `%`, `!` and `-`, methods.

use super::RuleProblem;
use super::lexer::{Problem, Token, literal};
use super::types::{Comparison, FIELDS, Node, Search, Type, Typed};
use crate::limits::MAX_RULE_DEPTH;

type Parsed = Result<Typed, Problem>;

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

/// Parses a whole rule.
pub(super) fn parse(tokens: Vec<(Token, usize)>) -> Parsed {
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
    };
    let whole = parser.any_of()?;
    match parser.peek() {
        Token::End => Ok(whole),
        _ => Err(parser.expected("an operator or the end")),
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is the end, and nothing passes it.
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn take(&mut self) -> (Token, usize) {
        let taken = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        taken
    }

    fn takes(&mut self, symbol: &'static str) -> bool {
        let is_next = *self.peek() == Token::Symbol(symbol);
        if is_next {
            self.take();
        }
        is_next
    }

    fn must_take(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), Problem> {
        if self.takes(symbol) {
            return Ok(());
        }
        Err(self.expected(expected))
    }

    fn expected(&self, expected: &'static str) -> Problem {
        let found = self.peek().found();
        (self.at(), RuleProblem::Syntax { found, expected })
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_RULE_DEPTH {
            return Err((self.at(), RuleProblem::TooDeep));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn any_of(&mut self) -> Parsed {
        let mut left = self.all_of()?;
        while self.takes("||") {
            let right = self.all_of()?;
            left = conditions(left, right, Node::Or)?;
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Parsed {
        let mut left = self.relation()?;
        while self.takes("&&") {
            let right = self.relation()?;
            left = conditions(left, right, Node::And)?;
        }
        Ok(left)
    }

    fn relation(&mut self) -> Parsed {
        let mut left = self.remainder()?;
        loop {
            let how = match self.peek() {
                Token::Symbol(symbol) => Comparison::of(symbol),
                Token::Word(word) if word == "in" => None,
                _ => return Ok(left),
            };
            match (how, self.peek()) {
                (Some(how), _) => {
                    self.take();
                    let right = self.remainder()?;
                    left = comparison(how, left, right)?;
                }
                (None, Token::Word(_)) => left = self.one_of(left)?,
                (None, _) => return Ok(left),
            }
        }
    }

    fn one_of(&mut self, item: Typed) -> Parsed {
        self.take();
        self.must_take("[", "a list such as [\"a\", \"b\"]")?;
        if *self.peek() == Token::Symbol("]") {
            return Err(self.expected("a value (nothing is in an empty list)"));
        }
        let mut list = Vec::new();
        while !self.takes("]") {
            let one = self.deeper(Self::any_of)?;
            must_be(&one, item.ty)?;
            known_name(&item, &one)?;
            known_name(&one, &item)?;
            list.push(one.node);
            if !self.takes(",") {
                self.must_take("]", "`,` or `]`")?;
                break;
            }
        }
        let node = Node::In(Box::new(item.node), list);
        Ok(condition(node, item.at))
    }

    fn remainder(&mut self) -> Parsed {
        let mut left = self.unary()?;
        while self.takes("%") {
            let (divisor, at) = self.take();
            left = match divisor {
                // 0 has no remainder, and that of the smallest number by −1 overflows.
                Token::Int(divisor) if divisor > 0 => {
                    must_be(&left, Type::Int)?;
                    Typed {
                        node: Node::Remainder(Box::new(left.node), divisor),
                        ..left
                    }
                }
                other => return Err(literal(at, other.found().trim_matches('`'), "a number above 0")),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        if self.takes("!") {
            let inner = self.deeper(Self::unary)?;
            must_be(&inner, Type::Bool)?;
            return Ok(condition(Node::Not(Box::new(inner.node)), at));
        }
        if self.takes("-") {
            return match self.take() {
                (Token::Int(number), _) => Ok(Typed {
                    node: Node::Int(-number),
                    ty: Type::Int,
                    at,
                }),
                (other, at) => Err(literal(
                    at,
                    other.found().trim_matches('`'),
                    "a number behind `-`",
                )),
            };
        }
        let mut target = self.primary()?;
        while self.takes(".") {
            target = self.search(target)?;
        }
        Ok(target)
    }

    fn search(&mut self, target: Typed) -> Parsed {
        let at = self.at();
        let Token::Word(name) = self.peek().clone() else {
            return Err(self.expected("a function such as `contains`"));
        };
        self.take();
        let how = Search::of(&name).ok_or((at, RuleProblem::UnknownFunction(name)))?;
        must_be(&target, Type::Text)?;
        self.must_take("(", "`(`")?;
        let part = self.deeper(Self::any_of)?;
        must_be(&part, Type::Text)?;
        self.must_take(")", "`)`")?;
        let node = Node::Search(how, Box::new(target.node), Box::new(part.node));
        Ok(condition(node, target.at))
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        let value = |node, ty| Ok(Typed { node, ty, at });
        match self.peek().clone() {
            Token::Int(number) => {
                self.take();
                value(Node::Int(number), Type::Int)
            }
            Token::Text(text) => {
                self.take();
                value(Node::Text(text), Type::Text)
            }
            Token::Symbol("(") => {
                self.take();
                let inner = self.deeper(Self::any_of)?;
                self.must_take(")", "`)`")?;
                Ok(inner)
            }
            Token::Word(word) => {
                self.take();
                match word.as_str() {
                    "true" | "false" => value(Node::Bool(word == "true"), Type::Bool),
                    _ if *self.peek() == Token::Symbol("(") => self.function(&word, at),
                    _ => match FIELDS.iter().find(|(name, _, _)| *name == word) {
                        Some((_, field, ty)) => value(Node::Field(*field), *ty),
                        None => Err((at, RuleProblem::UnknownField(word))),
                    },
                }
            }
            Token::Symbol(_) | Token::End => Err(self.expected("a field or a value")),
        }
    }

    fn function(&mut self, name: &str, at: usize) -> Parsed {
        if name != "duration" {
            return Err((at, RuleProblem::UnknownFunction(name.to_owned())));
        }
        self.take();
        let place = self.at();
        let Token::Text(text) = self.peek().clone() else {
            return Err(self.expected("a text such as \"5m\""));
        };
        self.take();
        let millis = duration(&text)
            .ok_or_else(|| literal(place, &text, "\"250ms\", \"30s\", \"5m\", \"1h30m\" or \"48h\""))?;
        self.must_take(")", "`)`")?;
        Ok(Typed {
            node: Node::Duration(millis),
            ty: Type::Duration,
            at,
        })
    }
}

const fn condition(node: Node, at: usize) -> Typed {
    let ty = Type::Bool;
    Typed { node, ty, at }
}

fn must_be(part: &Typed, ty: Type) -> Result<(), Problem> {
    if part.ty == ty {
        return Ok(());
    }
    let (found, expected) = (part.ty.name(), ty.name());
    Err((part.at, RuleProblem::Type { found, expected }))
}

fn conditions(left: Typed, right: Typed, node: fn(Box<Node>, Box<Node>) -> Node) -> Parsed {
    must_be(&left, Type::Bool)?;
    must_be(&right, Type::Bool)?;
    Ok(condition(
        node(Box::new(left.node), Box::new(right.node)),
        left.at,
    ))
}

fn comparison(how: Comparison, left: Typed, right: Typed) -> Parsed {
    if how.needs_order() && left.ty == Type::Bool {
        let (found, expected) = (left.ty.name(), "a number, a text or a duration");
        return Err((left.at, RuleProblem::Type { found, expected }));
    }
    must_be(&right, left.ty)?;
    known_name(&left, &right)?;
    known_name(&right, &left)?;
    if let (true, Some(field)) = (how.needs_order(), name_field(&left).or(name_field(&right))) {
        // By their letters, `high` would come before `low`, and `low` before `normal`.
        let expected = "compared with `==`, `!=` or `in`: its names have no order";
        return Err((
            field,
            RuleProblem::Type {
                found: "a name",
                expected,
            },
        ));
    }
    let node = Node::Compare(how, Box::new(left.node), Box::new(right.node));
    Ok(condition(node, left.at))
}

/// Where a field stands that has a few names only.
fn name_field(part: &Typed) -> Option<usize> {
    match part.node {
        Node::Field(field) => field.names().map(|_| part.at),
        _ => None,
    }
}

/// A text that is compared with a field of few names is one of them.
fn known_name(field: &Typed, text: &Typed) -> Result<(), Problem> {
    let (Node::Field(field), Node::Text(found)) = (&field.node, &text.node) else {
        return Ok(());
    };
    match field.names() {
        Some((field, names)) if !names.contains(&found.as_str()) => {
            let found = found.clone();
            Err((text.at, RuleProblem::UnknownName { found, field, names }))
        }
        _ => Ok(()),
    }
}

/// The units of CEL that a whole number of milliseconds has.
const UNITS: &[(&str, i64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

fn duration(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0_i64);
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(digits.parse::<i64>().ok()?.checked_mul(*millis)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}
