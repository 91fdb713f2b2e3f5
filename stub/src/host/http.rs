//! One request and its answer over a local socket, HTTP/1.0: the answer is not trusted, and is of a limited length.
//! What leads from that socket to a service is in `proxy.rs`; what is asked, in `ollama_client.rs`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::interrupt;

/// Answers are some hundred bytes; the list of a large store's models may have more.
const LIMIT: usize = 4 << 20;
const HEADERS: usize = 64;
/// How often it is looked whether somebody wants to stop.
const TICK: Duration = Duration::from_millis(200);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("no answer in time")]
    TimedOut,
    #[error("interrupted")]
    Interrupted,
    #[error("the answer is no HTTP, or is longer than {LIMIT} bytes")]
    NotHttp,
    #[error("{0}")]
    Io(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks, and waits for the whole answer until `deadline`.
///
/// # Errors
/// There is none.
pub fn ask(
    mut stream: UnixStream,
    method: &str,
    path: &str,
    body: &str,
    deadline: Instant,
) -> Result<Answer, HttpError> {
    let io = |error: std::io::Error| HttpError::Io(error.to_string());
    stream.set_read_timeout(Some(TICK)).map_err(io)?;
    // A server answers a request of this version without pieces, and closes the connection behind its answer.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(io)?;
    stream.write_all(body.as_bytes()).map_err(io)?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        if interrupt::requested() {
            return Err(HttpError::Interrupted);
        }
        match stream.read(&mut piece) {
            Ok(0) => return parse(&answer),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io(error)),
        }
        if answer.len() > LIMIT {
            return Err(HttpError::NotHttp);
        }
        if Instant::now() >= deadline {
            return Err(HttpError::TimedOut);
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Answer, HttpError> {
    if bytes.is_empty() {
        return Err(HttpError::Io("the connection was closed without an answer".to_owned()));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            let status = response.code.ok_or(HttpError::NotHttp)?;
            let body = bytes.get(length..).unwrap_or_default();
            // Cut off, it must not be taken for all of it.
            let told = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let told = told.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
            if told.is_some_and(|told| told != body.len()) {
                return Err(HttpError::Io("the answer was cut off".to_owned()));
            }
            Ok(Answer { status, body: body.to_vec() })
        }
        Ok(httparse::Status::Partial) | Err(_) => Err(HttpError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an answer, byte for byte.
    fn answered(with: &'static [u8], within: Duration) -> Result<Answer, HttpError> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut request = [0; 200];
            let length = theirs.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"POST /api/x HTTP/1.0\r\nHost: localhost\r\n"));
            let _ = theirs.write_all(with);
            if with.is_empty() {
                std::thread::sleep(TICK * 3);
            }
        });
        let answer = ask(ours, "POST", "/api/x", "", Instant::now() + within);
        server.join().unwrap();
        answer
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let long = Duration::from_secs(60);
        let whole = answered(b"HTTP/1.0 404 Not Found\r\ncontent-length: 2\r\n\r\n{}", long).unwrap();
        assert_eq!(whole, Answer { status: 404, body: b"{}".to_vec() });
        let cut = answered(b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n{}", long);
        assert_eq!(cut, Err(HttpError::Io("the answer was cut off".to_owned())));
        assert_eq!(answered(b"SSH-2.0-OpenSSH_9.2\r\n", long), Err(HttpError::NotHttp));
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\nX: ", long), Err(HttpError::NotHttp));
    }

    #[test]
    fn who_says_nothing_is_waited_for_until_the_deadline() {
        assert_eq!(answered(b"", Duration::ZERO), Err(HttpError::TimedOut));
    }
}
