//! Functions and filters beside minijinja's own: days, amounts, names. All pure.

use jiff::civil::Date;
use minijinja::{Environment, Error, ErrorKind, Value};

/// Adds them to `env`.
pub(crate) fn add(env: &mut Environment<'static>) {
    env.add_function("days_between", days_between);
    env.add_function("add_days", add_days);
    env.add_filter("money", money);
    env.add_filter("slug", slug);
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn day(text: &str) -> Result<Date, Error> {
    // a moment counts as its day
    let head = text.get(..10).unwrap_or(text);
    head.parse().map_err(|_| bad(format!("`{text}` is not a day like 2026-11-22")))
}

/// Whole days from `from` to `to`; negative when `to` is earlier.
fn days_between(from: &str, to: &str) -> Result<i64, Error> {
    let days = day(from)?.until(day(to)?).map_err(|e| bad(e.to_string()))?;
    Ok(i64::from(days.get_days()))
}

/// The day `n` days after `from`.
fn add_days(from: &str, n: i64) -> Result<String, Error> {
    let span = jiff::Span::new().try_days(n).map_err(|e| bad(e.to_string()))?;
    Ok(day(from)?.checked_add(span).map_err(|e| bad(e.to_string()))?.to_string())
}

/// An amount with two decimals and thousands apart: `1240.5` becomes `1,240.50`.
///
/// Works on the digits themselves: an amount is never a floating-point number here.
fn money(amount: &Value) -> Result<String, Error> {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    let fail = || bad(format!("`{text}` is not an amount like 1240.50"));
    let (sign, digits) = text.trim().strip_prefix('-').map_or(("", text.trim()), |rest| ("-", rest));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(cents) || cents.trim_end_matches('0').len() > 2 {
        return Err(fail());
    }
    let mut grouped = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    Ok(format!("{sign}{grouped}.{cents:0<2.2}"))
}

/// A name for keys and ids: letters and digits in lower case, everything else one dash.
fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}
