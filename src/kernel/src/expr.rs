//! The one expression language: minijinja, without clock, randomness or I/O, and with a fuel limit.
//!
//! A text that is exactly `{{ expr }}` keeps the type of its value; any other text interpolates. A
//! value that a text brings in is never evaluated again.

use std::{collections::BTreeSet, sync::OnceLock};

use cairn_store_layout::canonical;
pub(crate) use minijinja::Value;
use minijinja::{Environment, Expression, UndefinedBehavior, syntax::SyntaxConfig};

use crate::functions;

/// How many instructions one evaluation may take: about a second of a slow machine.
pub const FUEL: u64 = 2_000_000;

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_syntax(syntax());
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        functions::add(&mut env);
        env
    })
}

/// Jinja's own, but block lines leave no empty line behind and the last line break stays.
fn syntax() -> SyntaxConfig {
    let built = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build();
    built.expect("the usual delimiters are a valid syntax")
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// What went wrong, with the expression.
    pub message: String,
    /// The line inside the text, counted from 1.
    pub line: Option<u32>,
}

impl ExprError {
    fn from(error: &minijinja::Error, source: Option<&str>) -> Self {
        let what = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let line = error.line().and_then(|l| u32::try_from(l).ok());
        let what = match error.kind() {
            minijinja::ErrorKind::UndefinedError => format!("a name has no value ({what})"),
            minijinja::ErrorKind::OutOfFuel => "the expression takes too long".to_owned(),
            _ => what,
        };
        // a whole file is not repeated in a message about one of its lines
        let message = match source {
            Some(source) => format!("{what}, in `{}`", source.trim().chars().take(160).collect::<String>()),
            None => what,
        };
        Self { message, line }
    }
}

/// A text that may hold expressions, read once.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    /// No expression at all.
    Plain(String),
    /// Exactly one expression: keeps its type.
    Whole(String),
    /// Text with expressions inside.
    Mixed(String),
}

impl Template {
    /// Reads `source`.
    pub(crate) fn parse(source: &str) -> Result<Self, ExprError> {
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Self::Plain(source.to_owned()));
        }
        if let Some(inner) = whole(source) {
            return Ok(Self::Whole(inner.to_owned()));
        }
        match environment().template_from_str(source) {
            Ok(_) => Ok(Self::Mixed(source.to_owned())),
            Err(error) => Err(ExprError::from(&error, Some(source))),
        }
    }

    /// The value of the text in `scope`.
    pub(crate) fn eval(&self, scope: &Value) -> Result<Value, ExprError> {
        match self {
            Self::Plain(text) => Ok(Value::from(text.as_str())),
            Self::Whole(inner) => {
                let fail = |error: &minijinja::Error| ExprError::from(error, Some(inner));
                let value = expression(inner).map_err(|e| fail(&e))?.eval(scope.clone()).map_err(|e| fail(&e))?;
                if value.is_undefined() {
                    return Err(ExprError { message: format!("`{}` has no value", inner.trim()), line: None });
                }
                Ok(value)
            }
            Self::Mixed(source) => environment()
                .render_str(source, scope.clone())
                .map(Value::from)
                .map_err(|e| ExprError::from(&e, Some(source))),
        }
    }

    /// The value as text, for summaries and prompts.
    pub(crate) fn text(&self, scope: &Value) -> Result<String, ExprError> {
        Ok(match self.eval(scope)? {
            value if value.as_str().is_some() => value.as_str().unwrap_or_default().to_owned(),
            value => value.to_string(),
        })
    }

    /// The names it takes from its scope, dotted as far as they are known.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Plain(_) => BTreeSet::new(),
            Self::Whole(inner) => {
                expression(inner).map(|e| e.undeclared_variables(true).into_iter().collect()).unwrap_or_default()
            }
            Self::Mixed(source) => environment()
                .template_from_str(source)
                .map(|t| t.undeclared_variables(true).into_iter().collect())
                .unwrap_or_default(),
        }
    }
}

fn expression(inner: &str) -> Result<Expression<'static, 'static>, minijinja::Error> {
    environment().compile_expression_owned(inner.to_owned())
}

/// The inside of a text that is one `{{ ... }}` and nothing else.
fn whole(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    // `{{ a }} and {{ b }}` begins and ends the same way, but its inside is no expression
    expression(inner).is_ok().then_some(inner)
}

/// Renders a whole text, such as a prompt or a letter, with the names of `context`.
///
/// # Errors
/// When the text is no template, uses a name without a value, or takes too long.
pub fn render_text(source: &str, context: &serde_json::Value) -> Result<String, String> {
    environment().render_str(source, Value::from(minijinja::value::Serde(context))).map_err(|e| {
        let error = ExprError::from(&e, None);
        error.line.map_or_else(|| error.message.clone(), |line| format!("line {line}: {}", error.message))
    })
}

/// Tells whether a condition, such as `{{ 'phone' not in entity }}`, is true with the names of `context`.
///
/// # Errors
/// As [`render_text`].
pub fn holds(source: &str, context: &serde_json::Value) -> Result<bool, String> {
    let scope = Value::from(minijinja::value::Serde(context));
    let template = Template::parse(source).map_err(|error| error.message)?;
    if !matches!(template, Template::Whole(_)) {
        // a text is true as soon as it is not empty, which nobody means by a condition
        return Err(format!("`{source}` is no condition: write it as one {{{{ expression }}}}"));
    }
    template.eval(&scope).map(|value| value.is_true()).map_err(|error| error.message)
}

/// The top-level names that a text takes from its context.
///
/// # Errors
/// When the text is no template; with the line.
pub fn names_of(source: &str) -> Result<BTreeSet<String>, ExprError> {
    match environment().template_from_str(source) {
        Ok(template) => Ok(template.undeclared_variables(false).into_iter().collect()),
        Err(error) => Err(ExprError::from(&error, None)),
    }
}

/// The JSON form of a value.
pub(crate) fn to_json(value: &Value) -> Result<serde_json::Value, ExprError> {
    let fault = |message: String| ExprError { message, line: None };
    let json = serde_json::to_value(value).map_err(|e| fault(format!("the value has no JSON form: {e}")))?;
    if canonical::is_too_deep(&json) {
        return Err(fault(format!("the value is nested too deeply: at most {} levels are kept", canonical::DEPTH_MAX)));
    }
    Ok(json)
}

/// The value of a JSON form.
pub(crate) fn from_json(value: &serde_json::Value) -> Value {
    Value::from(minijinja::value::Serde(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn eval(source: &str) -> Result<serde_json::Value, String> {
        let scope = from_json(&json!({
            "n": 3, "text": "{{ n }}", "rows": [{"due": "2026-11-01", "sum": "1240.5"}], "none": null,
        }));
        let value = Template::parse(source).and_then(|t| t.eval(&scope)).map_err(|e| e.message)?;
        to_json(&value).map_err(|e| e.message)
    }

    #[test]
    fn an_expression_alone_keeps_its_type_and_a_text_interpolates() {
        assert_eq!(eval("{{ n + 1 }}"), Ok(json!(4)));
        assert_eq!(eval("{{ rows }}"), Ok(json!([{"due": "2026-11-01", "sum": "1240.5"}])));
        assert_eq!(eval("n is {{ n }}"), Ok(json!("n is 3")));
        assert_eq!(eval("{{ n }} and {{ n }}"), Ok(json!("3 and 3")));
        assert_eq!(eval("{{ none }}"), Ok(json!(null)));
        assert_eq!(eval("plain"), Ok(json!("plain")));
    }

    #[test]
    fn a_value_is_never_evaluated_again() {
        assert_eq!(eval("{{ text }}"), Ok(json!("{{ n }}")));
        assert_eq!(eval("say {{ text }}"), Ok(json!("say {{ n }}")));
    }

    #[test]
    fn faults_say_which_expression() {
        assert!(eval("{{ missing }}").unwrap_err().contains("`missing` has no value"));
        assert!(eval("x {{ missing }}").unwrap_err().starts_with("a name has no value"));
        assert!(eval("{{ n +").is_err());
        assert!(
            eval("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}")
                .unwrap_err()
                .contains("takes too long")
        );
    }

    /// What a text gives is hashed, approved and replayed: its bytes must not depend on which features some
    /// other package of a build switches on.
    #[test]
    fn values_are_written_in_one_way() {
        let scope = json!({
            "map": {"z": 1, "a": [true, null, 1.5, 1e21, "it's \"so\"\n", "ü"], "m": {}},
            "Zed": "x", "big": 12345678901234567890_u64, "neg": -0.0, "words": ["b", "B", "a"],
        });
        let written = |text: &str| render_text(text, &scope);
        insta::assert_snapshot!(
            written(
                "{{ map }}\n{{ map | tojson }}\n{% for k in map %}{{ k }} {% endfor %}\n{{ map | items | list }}\n\
                 {{ big }} {{ neg }} {{ 7 / 2 }} {{ 1e3 }}\n{{ words | sort }} {{ {'b': 1, 'a': 2} }}\n{{ map.a | join(',') }}"
            )
            .expect("it has a value"),
            @r#"
            {'a': [True, None, 1.5, 1e21, 'it\'s "so"\n', 'ü'], 'm': {}, 'z': 1}
            {"a": [true, null, 1.5, 1e+21, "it\u0027s \"so\"\n", "ü"], "m": {}, "z": 1}
            a m z [('a', [True, None, 1.5, 1e21, 'it\'s "so"\n', 'ü']), ('m', {}), ('z', 1)]
            12345678901234567890 -0.0 3.5 1000.0
            ['a', 'b', 'B'] {'a': 2, 'b': 1}
            True,None,1.5,1000000000000000000000.0,it's "so"
            ,ü
            "#
        );
        for absent in ["{{ 'a b' | urlencode }}", "{% for i in [1] %}{% break %}{% endfor %}"] {
            assert!(written(absent).is_err(), "no feature of minijinja that we do not ask for: {absent}");
        }
    }

    #[test]
    fn days_and_money() {
        assert_eq!(eval("{{ days_between(rows[0].due, '2026-11-22') }}"), Ok(json!(21)));
        assert_eq!(eval("{{ add_days('2026-02-27', 2) }}"), Ok(json!("2026-03-01")));
        assert_eq!(eval("{{ rows[0].sum | money }}"), Ok(json!("1,240.50")));
        assert_eq!(eval("{{ 'Brandt & Söhne GmbH' | slug }}"), Ok(json!("brandt-söhne-gmbh")));
        assert!(eval("{{ days_between('soon', '2026-11-22') }}").unwrap_err().contains("`soon` is not a day"));
    }
}
