//! Who is who: keys that are read out of fields, and what two parties that share some of them are to each other.
//!
//! A **strong** key names one party: tax id, e-mail address, phone number. A **weak** one only hints at it: name,
//! domain. What is sure answers a question; what is likely becomes a *proposal* to merge, decided by a person or
//! a rule. Nothing is ever merged here. Two parties whose tax ids differ are never taken for one.
//!
//! The weights below were set on one half of a committed set of pairs and measured on the other
//! (`tests/identity/`).

pub mod keys;
pub mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use names::Name;

/// From here on two parties are one: only strong keys get there.
pub const SURE: f64 = 0.95;
/// From here on a merge is proposed.
pub const LIKELY: f64 = 0.75;

const BY_TAX_ID: f64 = 0.99;
const BY_EMAIL: f64 = 0.97;
const BY_PHONE: f64 = 0.95;
/// Two firms of one name are often two; two with one domain are mostly one.
const BY_NAME: f64 = 0.8;
const BY_DOMAIN: f64 = 0.6;
/// Names less alike than this say nothing.
const NAME_MIN: f64 = 0.8;

/// What identifies a party, read out of its fields by their names:
///
/// - e-mail: `email`, `mail` and what ends so, such as `billing_email`;
/// - phone: `phone`, `tel`, `mobile`, `fax` left out;
/// - tax id: `tax_id`, `vat`, `vat_id`, `ust_id`, `siret`, `ein`, `company_number`;
/// - domain: `domain`, `website`, `url`, and the domain of each e-mail address;
/// - name: `name`, `company`, `legal_name`, `firm`;
/// - `aliases`: each an e-mail address, a web address, or a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traits {
    emails: BTreeSet<String>,
    phones: BTreeSet<String>,
    domains: BTreeSet<String>,
    /// By field: a tax number and a VAT id of one firm are not alike.
    tax_ids: BTreeMap<String, BTreeSet<String>>,
    names: Vec<Name>,
}

/// How two parties are related.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likeness {
    /// 0 to 1; [`SURE`] and [`LIKELY`] say what it is good for.
    pub score: f64,
    /// What they share, in words, the strongest first.
    pub reasons: Vec<String>,
    /// Whether a strong key is among it.
    pub strong: bool,
}

impl Traits {
    /// Reads what identifies out of fields. `calling_code` completes national phone numbers.
    #[must_use]
    pub fn of(fields: &Value, calling_code: Option<&str>) -> Self {
        let mut traits = Self::default();
        for (field, value) in fields.as_object().into_iter().flatten() {
            let values: Vec<&str> = match value {
                Value::String(text) => vec![text],
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => continue,
            };
            for text in values {
                traits.read(field, text, calling_code);
            }
        }
        traits
    }

    fn read(&mut self, field: &str, text: &str, calling_code: Option<&str>) {
        let last = field.rsplit('_').next().unwrap_or(field);
        match (field, last) {
            ("tax_id" | "vat" | "vat_id" | "ust_id" | "siret" | "ein" | "company_number", _) => {
                if let Some(id) = keys::tax_id(text) {
                    self.tax_ids.entry(field.to_owned()).or_default().insert(id);
                }
            }
            ("aliases", _) => {
                if text.contains('@') {
                    self.email(text);
                } else if text.contains("://") || text.starts_with("www.") {
                    self.domains.extend(keys::domain(text));
                } else {
                    self.names.extend(Name::new(text));
                }
            }
            (_, "email" | "emails" | "mail") => self.email(text),
            (_, "phone" | "phones" | "tel" | "mobile") => self.phones.extend(keys::phone(text, calling_code)),
            (_, "domain" | "domains" | "website" | "url") => self.domains.extend(keys::domain(text)),
            ("name" | "company" | "legal_name" | "firm", _) => self.names.extend(Name::new(text)),
            _ => {}
        }
    }

    fn email(&mut self, text: &str) {
        self.emails.extend(keys::email(text));
        self.domains.extend(keys::domain(text));
    }

    /// Tells whether nothing was found that identifies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What two parties share; `None` when it is nothing, or when their tax ids say that they are two.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.differ_in_tax_id(other) {
            return None;
        }
        let mut found: Vec<(f64, String)> = Vec::new();
        let shared = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.intersection(b).next().cloned();
        for (field, ids) in &self.tax_ids {
            let others = other.tax_ids.get(field);
            found.extend(others.and_then(|o| shared(ids, o)).map(|id| (BY_TAX_ID, format!("{field} {id}"))));
        }
        let email = shared(&self.emails, &other.emails);
        found.extend(email.as_ref().map(|email| (BY_EMAIL, format!("e-mail {email}"))));
        found.extend(shared(&self.phones, &other.phones).map(|number| (BY_PHONE, format!("phone {number}"))));
        let strong = !found.is_empty();
        // an address says its domain already
        let domain = shared(&self.domains, &other.domains).filter(|_| email.is_none());
        found.extend(domain.map(|domain| (BY_DOMAIN, format!("domain {domain}"))));
        let pairs = self.names.iter().flat_map(|a| other.names.iter().map(move |b| a.alike(b)));
        let name = pairs.fold(0.0, f64::max);
        if name >= NAME_MIN {
            let percent = (name * 100.0).round();
            let words = if percent >= 100.0 { "same name".to_owned() } else { format!("name alike ({percent} %)") };
            found.push((BY_NAME * name, words));
        }
        if found.is_empty() {
            return None;
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        // each is a reason of its own: what speaks against all of them together is left
        let doubt: f64 = found.iter().map(|(weight, _)| 1.0 - weight).product();
        let score = 1.0 - doubt;
        // hints alone never make sure
        let score = if strong { score } else { score.min(SURE - 0.01) };
        let score = (score * 1000.0).round() / 1000.0;
        Some(Likeness { score, reasons: found.into_iter().map(|(_, reason)| reason).collect(), strong })
    }

    fn differ_in_tax_id(&self, other: &Self) -> bool {
        let same_field = |(field, ids): (&String, &BTreeSet<String>)| {
            other.tax_ids.get(field).is_some_and(|others| ids.is_disjoint(others))
        };
        self.tax_ids.iter().any(same_field)
    }
}
