//! Letters kept as `.eml` files.

use mail_parser::{Address, MessageParser};
use serde_json::{Value, json};

use crate::effects::Fault;

/// The most text of a letter that is kept, in bytes; the rest is cut off and `truncated` says so.
const TEXT_BYTES_MAX: usize = super::READ_BYTES_MAX;

/// Reads a letter. Its text is the plain part, or what a reader would see of the HTML part.
///
/// Almost any bytes parse as a mail; one is taken for a mail when it says from whom it is.
pub(super) fn letter(path: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let not_one = |why: &str| Fault::business("not_a_mail", format!("files/{path}:1: this is not a mail: {why}"));
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(not_one("it is empty"));
    }
    let mail = MessageParser::default().parse(bytes).ok_or_else(|| not_one("it has no header lines"))?;
    let from = mail
        .from()
        .and_then(Address::first)
        .filter(|a| a.address().is_some_and(|a| a.contains('@')))
        .ok_or_else(|| not_one("no `From:` line with an address was found"))?;
    let body: Vec<_> = (0..mail.text_body_count()).filter_map(|part| mail.body_text(part)).collect();
    let mut text = body.join("\n").replace("\r\n", "\n");
    let mut end = TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let truncated = end < text.len();
    text.truncate(end);
    let mut output = json!({
        "from": from.address(),
        "from_name": from.name().unwrap_or(""),
        "to": mail.to().map_or(String::new(), addresses),
        "subject": mail.subject().unwrap_or(""),
        "date": mail.date().filter(|d| d.is_valid()).map(mail_parser::DateTime::to_rfc3339),
        "message_id": mail.message_id(),
        "text": text,
    });
    if truncated {
        output["truncated"] = json!(true);
    }
    Ok(output)
}

fn addresses(list: &Address<'_>) -> String {
    list.iter().filter_map(mail_parser::Addr::address).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_with_html_alone_gives_its_text() {
        let bytes = b"From: =?UTF-8?Q?J=C3=B6rg?= <j@brandt.example>\r\nTo: a@x.example, B <b@x.example>\r\n\
            Subject: Re: 2043\r\nDate: Mon, 2 Nov 2026 09:00:00 +0100\r\nMessage-ID: <1@brandt.example>\r\n\
            Content-Type: text/html; charset=utf-8\r\n\r\n<p>Wrong <b>amount</b></p>";
        let got = letter("m.eml", bytes).unwrap();
        assert_eq!(
            (&got["from"], &got["from_name"], &got["to"], &got["date"], &got["message_id"]),
            (
                &json!("j@brandt.example"),
                &json!("Jörg"),
                &json!("a@x.example, b@x.example"),
                &json!("2026-11-02T09:00:00+01:00"),
                &json!("1@brandt.example")
            )
        );
        assert!(got["text"].as_str().unwrap().contains("Wrong amount"), "{got}");
    }

    #[test]
    fn what_is_no_letter_is_told() {
        for bytes in
            [&b""[..], b"  \n", b"%PDF-1.7 stuff", b"invoice,due\n1,2\n", b"From: nobody\n\nhi", b"\xff\xfe\0\0"]
        {
            let fault = letter("m.eml", bytes).unwrap_err();
            assert!(fault.message().starts_with("files/m.eml:1: this is not a mail"), "{fault:?}");
        }
    }
}
