//! Makes the bytes of a letter: always the same for the same effect.

use std::{str::FromStr, time::SystemTime};

use jiff::tz::TimeZone;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, Mailboxes,
        header::{ContentType, MIME_VERSION_1_0},
    },
};

use super::SendInput;
use crate::effects::{Fault, Job};

/// Most recipients of one letter.
const RECIPIENTS_MAX: usize = 50;
/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// Longest part of a file name that comes from an address.
const SLUG_CHARS_MAX: usize = 60;

/// A letter, ready to be kept and sent.
pub(super) struct Letter {
    pub(super) bytes: Vec<u8>,
    pub(super) envelope: Envelope,
    /// With its angle brackets.
    pub(super) message_id: String,
    pub(super) file_name: String,
}

impl Letter {
    /// Writes the letter that `input` describes, dated by the job.
    pub(super) fn write(from: &str, input: &SendInput, job: &Job) -> Result<Self, Fault> {
        let from = mailbox("from", from)?;
        let to = mailboxes("to", &input.to.line())?;
        let cc = input.cc.as_ref().map(super::Addresses::line).filter(|line| !line.trim().is_empty());
        let cc = cc.map(|line| mailboxes("cc", &line)).transpose()?;
        let count = to.iter().count() + cc.as_ref().map_or(0, |cc| cc.iter().count());
        if count > RECIPIENTS_MAX {
            let message = format!("{count} recipients; a letter may have {RECIPIENTS_MAX}");
            return Err(Fault::hard("too_large", message));
        }
        if input.body.len() > BODY_BYTES_MAX {
            let message = format!("the body has {} bytes; at most {BODY_BYTES_MAX} are sent", input.body.len());
            return Err(Fault::hard("too_large", message));
        }
        let first = to.iter().next().map(|m| m.email.clone()).ok_or_else(|| bad_address("to", "nobody is named"))?;
        let message_id = format!("<{}@{}>", &job.key.as_str()[..32], from.email.domain());

        // the order in which a reader looks for them
        let mut message = Message::builder().from(from);
        for mailbox in to {
            message = message.to(mailbox);
        }
        for mailbox in cc.into_iter().flatten() {
            message = message.cc(mailbox);
        }
        if let Some(reply_to) = input.reply_to.as_deref().filter(|t| !t.trim().is_empty()) {
            message = message.reply_to(mailbox("reply_to", reply_to)?);
        }
        message = message
            .subject(one_line("subject", &input.subject)?)
            .date(SystemTime::from(job.at))
            .message_id(Some(message_id.clone()));
        if let Some(id) = input.in_reply_to.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            let id = reference(id)?;
            message = message.in_reply_to(id.clone()).references(id);
        }
        let message = message
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(input.body.clone())
            .map_err(|e| Fault::hard("bad_mail", format!("the letter can not be written: {e}")))?;
        let day = job.at.to_zoned(TimeZone::UTC).date();
        Ok(Self {
            bytes: message.formatted(),
            envelope: message.envelope().clone(),
            message_id,
            file_name: format!("{day}-{}-{}.eml", slug(&first), &job.key.as_str()[..8]),
        })
    }
}

/// Refuses text that would begin another header line.
fn one_line<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.chars().any(char::is_control) {
        let message = format!("`{field}` holds a line break or control character, which could add header lines");
        return Err(Fault::hard("bad_header", message));
    }
    Ok(text)
}

fn mailbox(field: &str, text: &str) -> Result<Mailbox, Fault> {
    let text = one_line(field, text)?.trim();
    checked(
        field,
        Mailbox::from_str(text).map_err(|e| bad_address(field, &format!("`{text}` is not an address ({e})")))?,
    )
}

fn mailboxes(field: &str, text: &str) -> Result<Mailboxes, Fault> {
    let text = one_line(field, text)?.trim();
    let list = Mailboxes::from_str(text)
        .map_err(|e| bad_address(field, &format!("`{text}` is not a list of addresses ({e})")))?;
    list.into_iter().map(|m| checked(field, m)).collect()
}

/// Names may hold any letter; addresses outside ASCII need servers that few people have.
fn checked(field: &str, mailbox: Mailbox) -> Result<Mailbox, Fault> {
    let address: &str = mailbox.email.as_ref();
    if address.is_ascii() {
        return Ok(mailbox);
    }
    Err(bad_address(field, &format!("`{address}` holds characters outside ASCII, which this connector can not send")))
}

/// A person has to mend an address; another attempt would fail alike.
fn bad_address(field: &str, why: &str) -> Fault {
    Fault::business("bad_address", format!("`{field}`: {why}"))
}

/// A message id as `read_mail` gives it, with or without its brackets.
fn reference(id: &str) -> Result<String, Fault> {
    let id = one_line("in_reply_to", id)?.trim_start_matches('<').trim_end_matches('>');
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>')) {
        return Err(Fault::hard("bad_header", format!("`in_reply_to` is not a message id: `{id}`")));
    }
    Ok(format!("<{id}>"))
}

fn slug(address: &Address) -> String {
    let text: &str = address.as_ref();
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let slug: String = words.join("-").to_ascii_lowercase().chars().take(SLUG_CHARS_MAX).collect();
    slug.trim_end_matches('-').to_owned()
}
