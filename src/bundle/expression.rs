//! The text of a feature's expression to a syntax tree, every node with its place in the text.
//!
//! ```text
//! sum     = product { (+|-) product }          comparison = sum [ (<|<=|>|>=|==|!=) sum ]
//! product = power { (*|/) power }              power      = unary [ ^ power ]   unary = [-] unary | atom
//! atom    = number | name | name ( args ) | ( comparison )       duration = number (s|m|h|d), as in `5m`
//! ```

use std::time::Duration;

/// Longest expression in bytes. The longest of the reference bundle has about 200.
pub const MAX_EXPRESSION_BYTES: usize = 4096;
/// Deepest nesting of an expression: bounds the recursion of the parser and of the compiler.
pub const MAX_EXPRESSION_DEPTH: usize = 64;

/// What is wrong with an expression, and where: a column in characters, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Column of the place at fault.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Column in the text, from 1.
    pub column: usize,
    /// What it is.
    pub kind: NodeKind,
}

/// The kinds of node.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// A number.
    Number(f64),
    /// A time span such as `5m`; only windows take one.
    Span(Duration),
    /// A sensor, a feature or a constant.
    Name(String),
    /// `-x`.
    Negate(Box<Node>),
    /// `a op b`.
    Binary(BinaryOp, Box<Node>, Box<Node>),
    /// `name(args)`.
    Call(String, Vec<Node>),
}

/// Operators with two operands. Comparisons give 1 or 0, and NaN when an operand is NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Span(Duration),
    Name(String),
    Operator(BinaryOp),
    Open,
    Close,
    Comma,
    End,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Number(value) => format!("number `{value}`"),
            Self::Span(_) => "a time span".to_owned(),
            Self::Name(name) => format!("`{name}`"),
            Self::Operator(op) => format!("operator {op:?}"),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Parses one expression.
///
/// # Errors
/// The first place where the text is no expression.
pub fn parse(text: &str) -> Result<Node, ExpressionError> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(error(1, format!("the expression is longer than {MAX_EXPRESSION_BYTES} bytes")));
    }
    let mut parser = Parser { tokens: lex(text)?, position: 0, depth: 0 };
    let node = parser.comparison()?;
    match parser.peek() {
        (Token::End, _) => Ok(node),
        (token, column) => {
            Err(error(column, format!("found {}, expected an operator or the end", token.describe())))
        }
    }
}

fn error(column: usize, message: String) -> ExpressionError {
    ExpressionError { column, message }
}

fn lex(text: &str) -> Result<Vec<(Token, usize)>, ExpressionError> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut index = 0;
    while index < characters.len() {
        let column = index + 1;
        let (token, length) = match (at(index), at(index + 1)) {
            (' ' | '\t' | '\n' | '\r', _) => {
                index += 1;
                continue;
            }
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('+', _) => (Token::Operator(BinaryOp::Add), 1),
            ('-', _) => (Token::Operator(BinaryOp::Subtract), 1),
            ('*', _) => (Token::Operator(BinaryOp::Multiply), 1),
            ('/', _) => (Token::Operator(BinaryOp::Divide), 1),
            ('^', _) => (Token::Operator(BinaryOp::Power), 1),
            ('<', '=') => (Token::Operator(BinaryOp::LessEqual), 2),
            ('<', _) => (Token::Operator(BinaryOp::Less), 1),
            ('>', '=') => (Token::Operator(BinaryOp::GreaterEqual), 2),
            ('>', _) => (Token::Operator(BinaryOp::Greater), 1),
            ('=', '=') => (Token::Operator(BinaryOp::Equal), 2),
            ('!', '=') => (Token::Operator(BinaryOp::NotEqual), 2),
            (c, _) if c.is_ascii_digit() || c == '.' => lex_number(&characters, index)?,
            (c, _) if c.is_ascii_alphabetic() || c == '_' => {
                let rest = characters.get(index..).unwrap_or_default();
                let name: String =
                    rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
                let length = name.len();
                (Token::Name(name), length)
            }
            (c, _) => return Err(error(column, format!("unexpected character `{c}`"))),
        };
        tokens.push((token, column));
        index += length;
    }
    tokens.push((Token::End, characters.len() + 1));
    Ok(tokens)
}

fn lex_number(characters: &[char], start: usize) -> Result<(Token, usize), ExpressionError> {
    let rest = characters.get(start..).unwrap_or_default();
    let mut length = 0;
    let mut previous = ' ';
    for c in rest {
        let is_exponent_sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
        let is_exponent = matches!(c, 'e' | 'E') && !matches!(previous, 'e' | 'E');
        if !(c.is_ascii_digit() || *c == '.' || is_exponent_sign || is_exponent) {
            break;
        }
        previous = *c;
        length += 1;
    }
    let text: String = rest.iter().take(length).collect();
    let value: f64 = text
        .parse()
        .map_err(|_| error(start + 1, format!("`{text}` is no number, expected one such as 1.5 or 2e-3")))?;
    let suffix: String = rest.iter().skip(length).take_while(|c| c.is_ascii_alphabetic()).collect();
    let seconds = match suffix.as_str() {
        "" => return Ok((Token::Number(value), length)),
        "s" => value,
        "m" => value * 60.0,
        "h" => value * 3600.0,
        "d" => value * 86400.0,
        _ => {
            return Err(error(
                start + 1,
                format!("`{text}{suffix}` is no number and no time span such as 30s, 5m or 1h"),
            ));
        }
    };
    let span = Duration::try_from_secs_f64(seconds)
        .map_err(|_| error(start + 1, format!("`{text}{suffix}` is too long a time span")))?;
    Ok((Token::Span(span), length + suffix.len()))
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> (Token, usize) {
        self.tokens.get(self.position).or(self.tokens.last()).cloned().unwrap_or((Token::End, 1))
    }

    fn next(&mut self) -> (Token, usize) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn operator(&mut self, allowed: &[BinaryOp]) -> Option<(BinaryOp, usize)> {
        match self.peek() {
            (Token::Operator(op), column) if allowed.contains(&op) => {
                self.position += 1;
                Some((op, column))
            }
            _ => None,
        }
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_EXPRESSION_DEPTH {
            let (_, column) = self.peek();
            return Err(error(
                column,
                format!(
                    "nested deeper than {MAX_EXPRESSION_DEPTH} levels; name a part as a feature of its own"
                ),
            ));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn comparison(&mut self) -> Result<Node, ExpressionError> {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        self.nested(|parser| {
            let left = parser.chain(&[BinaryOp::Add, BinaryOp::Subtract], Self::product)?;
            match parser.operator(&[Less, LessEqual, Greater, GreaterEqual, Equal, NotEqual]) {
                Some((op, column)) => {
                    let right = parser.chain(&[BinaryOp::Add, BinaryOp::Subtract], Self::product)?;
                    Ok(binary(op, column, left, right))
                }
                None => Ok(left),
            }
        })
    }

    fn product(&mut self) -> Result<Node, ExpressionError> {
        self.chain(&[BinaryOp::Multiply, BinaryOp::Divide], Self::unary)
    }

    fn chain(
        &mut self,
        operators: &[BinaryOp],
        operand: fn(&mut Self) -> Result<Node, ExpressionError>,
    ) -> Result<Node, ExpressionError> {
        let mut left = operand(self)?;
        let mut links = 0;
        while let Some((op, column)) = self.operator(operators) {
            links += 1;
            if links > MAX_EXPRESSION_DEPTH {
                return Err(error(
                    column,
                    format!(
                        "more than {MAX_EXPRESSION_DEPTH} operands in a row; name a part as a feature of its own"
                    ),
                ));
            }
            left = binary(op, column, left, operand(self)?);
        }
        Ok(left)
    }

    /// Minus binds looser than `^`, as on paper: -x^2 is -(x^2).
    fn unary(&mut self) -> Result<Node, ExpressionError> {
        match self.operator(&[BinaryOp::Subtract]) {
            Some((_, column)) => {
                let inner = self.nested(Self::unary)?;
                Ok(Node { column, kind: NodeKind::Negate(Box::new(inner)) })
            }
            None => self.power(),
        }
    }

    fn power(&mut self) -> Result<Node, ExpressionError> {
        let base = self.atom()?;
        match self.operator(&[BinaryOp::Power]) {
            Some((op, column)) => Ok(binary(op, column, base, self.nested(Self::unary)?)),
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Node, ExpressionError> {
        let (token, column) = self.next();
        let kind = match token {
            Token::Number(value) => NodeKind::Number(value),
            Token::Span(span) => NodeKind::Span(span),
            Token::Name(name) if self.peek().0 == Token::Open => {
                self.position += 1;
                NodeKind::Call(name, self.arguments()?)
            }
            Token::Name(name) => NodeKind::Name(name),
            Token::Open => {
                let inner = self.comparison()?;
                self.expect_close()?;
                return Ok(inner);
            }
            other => {
                return Err(error(
                    column,
                    format!("found {}, expected a number, a name, a function or `(`", other.describe()),
                ));
            }
        };
        Ok(Node { column, kind })
    }

    fn arguments(&mut self) -> Result<Vec<Node>, ExpressionError> {
        let mut arguments = Vec::new();
        if self.peek().0 == Token::Close {
            self.position += 1;
            return Ok(arguments);
        }
        loop {
            arguments.push(self.comparison()?);
            match self.next() {
                (Token::Comma, _) => {}
                (Token::Close, _) => return Ok(arguments),
                (token, column) => {
                    return Err(error(column, format!("found {}, expected `,` or `)`", token.describe())));
                }
            }
        }
    }

    fn expect_close(&mut self) -> Result<(), ExpressionError> {
        match self.next() {
            (Token::Close, _) => Ok(()),
            (token, column) => Err(error(column, format!("found {}, expected `)`", token.describe()))),
        }
    }
}

fn binary(op: BinaryOp, column: usize, left: Node, right: Node) -> Node {
    Node { column, kind: NodeKind::Binary(op, Box::new(left), Box::new(right)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as fully bracketed text.
    fn show(node: &Node) -> String {
        match &node.kind {
            NodeKind::Number(value) => format!("{value}"),
            NodeKind::Span(span) => format!("{}s", span.as_secs_f64()),
            NodeKind::Name(name) => name.clone(),
            NodeKind::Negate(inner) => format!("-{}", show(inner)),
            NodeKind::Binary(op, left, right) => format!("({} {op:?} {})", show(left), show(right)),
            NodeKind::Call(name, arguments) => {
                format!("{name}[{}]", arguments.iter().map(show).collect::<Vec<_>>().join(";"))
            }
        }
    }

    #[test]
    fn precedence_is_that_of_paper() {
        for (text, tree) in [
            ("1+2*3", "(1 Add (2 Multiply 3))"),
            ("1-2-3", "((1 Subtract 2) Subtract 3)"),
            ("-x^2", "-(x Power 2)"),
            ("2^-3^2", "(2 Power -(3 Power 2))"),
            ("(1+2)*3", "((1 Add 2) Multiply 3)"),
            ("a+1 < b*2", "((a Add 1) Less (b Multiply 2))"),
            ("mean(x > 1, 5m)/60", "(mean[(x Greater 1);300s] Divide 60)"),
            ("hour()", "hour[]"),
            ("1.5e-3*1e2", "(0.0015 Multiply 100)"),
        ] {
            assert_eq!(show(&parse(text).unwrap()), tree, "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what_was_expected() {
        for (text, column, part) in [
            ("", 1, "found the end, expected a number"),
            ("a +", 4, "found the end"),
            ("a b", 3, "expected an operator or the end"),
            ("(a", 3, "expected `)`"),
            ("f(a;b)", 4, "unexpected character `;`"),
            ("f(a b)", 5, "expected `,` or `)`"),
            ("1..2", 1, "is no number"),
            ("5x", 1, "no time span"),
            ("a < b < c", 7, "expected an operator or the end"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {}", error.message);
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        assert!(parse(&"(".repeat(3000)).unwrap_err().message.contains("nested deeper"));
        assert!(parse(&"-".repeat(3000)).unwrap_err().message.contains("nested deeper"));
        assert!(parse(&format!("1{}", "^1".repeat(1000))).unwrap_err().message.contains("nested deeper"));
        assert!(parse(&format!("1{}", "+1".repeat(1000))).unwrap_err().message.contains("in a row"));
        assert!(parse(&"1".repeat(5000)).unwrap_err().message.contains("longer"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_can_hurt(text in "[-+*/^<>=!(),. a-z0-9smh_]{0,200}") {
            let _ = parse(&text);
        }
    }
}
