//! Keys that tell one party from another, in one spelling: e-mail, domain, phone, tax id.
//!
//! Each returns `None` for what is no such key; a wrong key would join strangers.

/// Domains at which anybody can have a mailbox: they say nothing about who somebody is.
const FREEMAIL: [&str; 34] = [
    "aol.com",
    "bluewin.ch",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "hotmail.de",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mail.com",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "t-online.de",
    "web.de",
    "yahoo.com",
    "yahoo.de",
    "yandex.ru",
];

/// Public suffixes of two labels that firms of the store's neighbourhood use; every other suffix counts as one label.
const TWO_LABELS: [&str; 22] = [
    "ac.uk", "co.at", "co.il", "co.in", "co.jp", "co.kr", "co.nz", "co.uk", "co.za", "com.ar", "com.au", "com.br",
    "com.cn", "com.hk", "com.mx", "com.sg", "com.tr", "gv.at", "ltd.uk", "net.au", "or.at", "org.uk",
];

/// An e-mail address in lower case, without a display name and without a `+tag`. Dots stay: only one provider
/// ignores them.
#[must_use]
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end().trim_end_matches('>'));
    let text = text.strip_prefix("mailto:").unwrap_or(text).to_lowercase();
    let (local, host) = text.split_once('@')?;
    let local = local.split_once('+').map_or(local, |(head, _)| head);
    let plain = |c: char| c.is_alphanumeric() || "._-'&=~!#$%*/?^`{|}".contains(c);
    (!local.is_empty() && local.chars().all(plain) && is_host(host)).then(|| format!("{local}@{host}"))
}

/// The domain that a firm registered, from an address, a web address or a host name; none for public mail
/// providers and bare suffixes.
#[must_use]
pub fn domain(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let host = match text.rsplit_once('@') {
        Some((_, host)) => host,
        None => {
            let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
            rest.split(['/', '?', '#', ':']).next().unwrap_or_default()
        }
    };
    let host = host.trim_end_matches('.');
    if !is_host(host) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let suffix =
        if labels.len() >= 2 && TWO_LABELS.contains(&labels[labels.len() - 2..].join(".").as_str()) { 2 } else { 1 };
    let own = labels.len().checked_sub(suffix + 1)?;
    let registered = labels[own..].join(".");
    (!FREEMAIL.contains(&registered.as_str())).then_some(registered)
}

/// A phone number as `+` and digits. One without a country gets `calling_code` (`49`); without that it stays
/// national, `0` first, and meets only others like it.
#[must_use]
pub fn phone(text: &str, calling_code: Option<&str>) -> Option<String> {
    let text = text.trim().strip_prefix("tel:").unwrap_or(text.trim());
    // an extension belongs to a person, the number to the party
    let text = text.to_lowercase();
    let text = ["ext", "durchwahl", "x"].iter().fold(text.as_str(), |t, mark| t.split(mark).next().unwrap_or(t));
    let text = text.replace("(0)", "");
    if !text.chars().all(|c| c.is_ascii_digit() || "+ -/().\u{a0}".contains(c)) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = if text.trim_start().starts_with('+') {
        format!("+{digits}")
    } else if let Some(rest) = digits.strip_prefix("00") {
        format!("+{rest}")
    } else if let (Some(code), Some(rest)) = (calling_code, digits.strip_prefix('0')) {
        format!("+{code}{rest}")
    } else {
        digits
    };
    let count = number.chars().filter(char::is_ascii_digit).count();
    (7..=15).contains(&count).then_some(number)
}

/// A tax or registration number: letters and digits alone, upper case. It has at least five digits.
#[must_use]
pub fn tax_id(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect();
    let digits = id.bytes().filter(u8::is_ascii_digit).count();
    (digits >= 5 && id.len() <= 24).then_some(id)
}

fn is_host(host: &str) -> bool {
    host.contains('.')
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-') && !label.starts_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_spelling() {
        for (text, key) in [
            ("AP+2041@Brandt.Example", Some("ap@brandt.example")),
            ("Jo Brandt <jo.b@brandt.example>", Some("jo.b@brandt.example")),
            ("jo@localhost", None),
            ("not an address", None),
            ("+@brandt.example", None),
        ] {
            assert_eq!(email(text).as_deref(), key, "{text}");
        }
        for (text, key) in [
            ("https://www.shop.brandt.example/de?x=1", Some("brandt.example")),
            ("info@mail.brandt.co.uk", Some("brandt.co.uk")),
            ("jo@gmail.com", None),
            ("co.uk", None),
            ("brandt", None),
        ] {
            assert_eq!(domain(text).as_deref(), key, "{text}");
        }
        for (text, code, key) in [
            ("+49 (0)30 123 45-67", None, Some("+49301234567")),
            ("030/1234567", Some("49"), Some("+49301234567")),
            ("0049 30 1234567", None, Some("+49301234567")),
            ("030 1234567", None, Some("0301234567")),
            ("+1 (555) 010-9999 ext. 12", None, Some("+15550109999")),
            ("call me", None, None),
            ("123", None, None),
        ] {
            assert_eq!(phone(text, code).as_deref(), key, "{text}");
        }
        assert_eq!(tax_id("de 123.456.789").as_deref(), Some("DE123456789"));
        assert_eq!(tax_id("pending"), None);
    }
}
