//! A mail server of a few lines that can go wrong at a chosen moment.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Where it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Kind,
    /// Answers RCPT with this code.
    Rcpt(u16),
    /// Answers the finished letter with this code.
    Letter(u16),
    /// Hangs up instead of answering DATA.
    HangUpAtData,
    /// Takes the letter, says so, and never answers the goodbye.
    NoGoodbye,
    /// Wants a password and likes none.
    BadPassword,
    /// Takes the letter and hangs up.
    HangUpAfterLetter,
    /// Takes the letter and says nothing for ever.
    SilentAfterLetter,
}

pub(crate) struct MailServer {
    pub(crate) port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let log = letters.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, mood, log.clone()));
            }
        });
        Self { port, letters }
    }

    /// The letters it took, whatever it said about them.
    pub(crate) fn letters(&self) -> Vec<String> {
        self.letters.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, mood: Mood, letters: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut say = async |text: String| write.write_all(format!("{text}\r\n").as_bytes()).await.is_ok();
    say("220 test".to_owned()).await;
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" if mood == Mood::BadPassword => "250-test\r\n250 AUTH PLAIN LOGIN".to_owned(),
            "AUTH" => format!("535 bad password {line}"),
            "EHLO" => "250-test\r\n250 8BITMIME".to_owned(),
            "RCPT" => match mood {
                Mood::Rcpt(code) => format!("{code} no such user here"),
                _ => "250 ok".to_owned(),
            },
            "DATA" if mood == Mood::HangUpAtData => return,
            "DATA" => {
                say("354 go on".to_owned()).await;
                let mut letter = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    letter.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.push_str("\r\n");
                }
                letters.lock().unwrap().push(letter);
                match mood {
                    Mood::HangUpAfterLetter => return,
                    Mood::SilentAfterLetter => std::future::pending::<()>().await,
                    _ => {}
                }
                match mood {
                    Mood::Letter(code) => format!("{code} not this one"),
                    _ => "250 taken".to_owned(),
                }
            }
            "QUIT" if mood == Mood::NoGoodbye => std::future::pending().await,
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        if !say(reply).await || verb == "QUIT" {
            return;
        }
    }
}
