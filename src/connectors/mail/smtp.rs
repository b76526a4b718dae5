//! Hands a letter to an SMTP server and knows at every moment whether it may have left.
//!
//! Until the letter's own bytes are on their way every failure is harmless. After that only a status
//! line of the server tells; without one nobody knows, and nothing is sent again.

use std::time::Duration;

use cairn_store_layout::definition::{Smtp, SmtpTls};
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, TlsParameters},
    commands::{Data, Mail, Rcpt},
    extension::ClientId,
};
use secrecy::ExposeSecret;

use super::letter::Letter;
use crate::effects::{Attempt, CONNECT_TIMEOUT, Fault, is_loopback};

/// How long a server may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

pub(super) async fn deliver(attempt: &Attempt<'_>, server: &Smtp, letter: &Letter) -> Result<(), Fault> {
    let mut connection = connect(attempt, server).await?;
    let result = hand_over(attempt, server, letter, &mut connection).await;
    // the server has answered or is gone; how it takes the goodbye changes nothing
    let goodbye = async {
        match &result {
            Ok(()) => drop(connection.quit().await),
            Err(_) => connection.abort().await,
        }
    };
    let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    result
}

async fn hand_over(
    attempt: &Attempt<'_>,
    server: &Smtp,
    letter: &Letter,
    connection: &mut AsyncSmtpConnection,
) -> Result<(), Fault> {
    let say = |what: &str, e: &Error| told(attempt, server, what, e);
    let from = letter.envelope.from().cloned();
    connection.command(Mail::new(from, vec![])).await.map_err(|e| say("refuses the sender", &e).or_hard())?;
    for to in letter.envelope.to() {
        let what = format!("refuses the recipient {to}");
        connection.command(Rcpt::new(to.clone(), vec![])).await.map_err(|e| say(&what, &e).or_business())?;
    }
    connection.command(Data).await.map_err(|e| say("refuses the letter", &e).or_business())?;

    attempt.depart();
    match connection.message(&letter.bytes).await {
        Ok(_) => {
            attempt.landed();
            Ok(())
        }
        Err(error) if error.status().is_some() => {
            attempt.refused();
            Err(say("refuses the letter", &error).or_business())
        }
        Err(error) => {
            let told = say("gave no answer after it was given the letter", &error);
            Err(attempt.lost("smtp_lost", told.message))
        }
    }
}

async fn connect(attempt: &Attempt<'_>, server: &Smtp) -> Result<AsyncSmtpConnection, Fault> {
    let credentials = credentials(attempt, server)?;
    let port = server.port.unwrap_or(match server.tls {
        SmtpTls::Tls => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::None => 25,
    });
    let tls = || {
        TlsParameters::new_rustls(server.host.clone())
            .map_err(|e| Fault::hard("smtp_tls", format!("no protected connection to {}: {e}", server.host)))
    };
    let wrapped = if server.tls == SmtpTls::Tls { Some(tls()?) } else { None };
    // a fixed name: the machine's own says more about us than a server needs to know
    let hello = ClientId::Domain("cairn.invalid".to_owned());
    let address = (server.host.as_str(), port);
    let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIMEOUT), &hello, wrapped, None)
        .await
        .map_err(|e| told(attempt, server, "can not be reached", &e).or_hard())?;
    if server.tls == SmtpTls::StartTls {
        if !connection.can_starttls() {
            connection.abort().await;
            let message = format!("{} does not offer STARTTLS, so nothing was sent", server.host);
            return Err(Fault::hard("smtp_tls", message));
        }
        connection
            .starttls(tls()?, &hello)
            .await
            .map_err(|e| told(attempt, server, "failed at STARTTLS", &e).or_hard())?;
    }
    if let Some(credentials) = credentials {
        let known = [Mechanism::Plain, Mechanism::Login];
        connection
            .auth(&known, &credentials)
            .await
            .map_err(|e| told(attempt, server, "refuses our name or password", &e).or_hard())?;
    }
    Ok(connection)
}

fn credentials(attempt: &Attempt<'_>, server: &Smtp) -> Result<Option<Credentials>, Fault> {
    match (&server.user, &server.password) {
        (None, None) => Ok(None),
        (Some(user), Some(reference)) => {
            if server.tls == SmtpTls::None && !is_loopback(&format!("smtp://{}", server.host)) {
                let message = format!("the password would travel to {} in clear text; set tls", server.host);
                return Err(Fault::hard("smtp_tls", message));
            }
            let password = attempt.world.secrets.resolve(reference)?.expose_secret().to_owned();
            Ok(Some(Credentials::new(user.clone(), password)))
        }
        _ => Err(Fault::hard("smtp_auth", "`smtp` needs `user` and `password` together")),
    }
}

/// What a server said, before it is known how bad that is.
struct Told {
    message: String,
    permanent: bool,
    code: String,
}

impl Told {
    fn or_hard(self) -> Fault {
        if self.permanent { Fault::hard(self.code, self.message) } else { Fault::soft(self.code, self.message) }
    }

    fn or_business(self) -> Fault {
        if self.permanent { Fault::business(self.code, self.message) } else { Fault::soft(self.code, self.message) }
    }
}

fn told(attempt: &Attempt<'_>, server: &Smtp, what: &str, error: &Error) -> Told {
    let mut message = format!("{} {what}: {error}", server.host);
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {}", attempt.brief(&cause.to_string()));
    }
    // a wrong certificate or a missing extension does not heal by itself either
    let permanent = error.is_permanent() || error.is_client() || error.is_tls();
    let code = error.status().map_or_else(|| "smtp".to_owned(), |status| format!("smtp_{status}"));
    Told { message, permanent, code }
}
