//! An HTTP/1.1 server on loopback that answers as a closure says, lies and interruptions included.
//! What it is made to say is in the tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it arrived; header names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// How many requests came before it.
    pub(crate) number: usize,
}

/// What to send back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// `Content-Length`, where it is not the truth.
    pub(crate) announced: Option<usize>,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Send so many bytes of the body, and nothing more until the other side goes away.
    pub(crate) stall: Option<usize>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte of `Range: bytes=N-`.
    pub(crate) fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), announced: None, cut: None, stall: None }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self::new(status, "").with("location", to)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    pub(crate) fn stall(mut self, at: usize) -> Self {
        self.stall = Some(at);
        self
    }

    pub(crate) fn announcing(mut self, length: usize) -> Self {
        self.announced = Some(length);
        self
    }

    /// `body` as a well-behaved server sends it: `Range` and `If-Range` understood.
    pub(crate) fn ranged(request: &Request, body: &[u8], etag: &str) -> Self {
        let current = request.header("if-range").is_none_or(|tag| tag == etag);
        let answer = match request.range() {
            Some(start) if current && start >= body.len() => Self::new(416, ""),
            Some(start) if current => {
                let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
                Self::new(206, &body[start..]).with("content-range", &range)
            }
            _ => Self::ok(body),
        };
        answer.with("etag", etag)
    }
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", handler)
    }

    pub(crate) fn on(address: &str, handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (log, sent, stop) = (Arc::default(), Arc::default(), Arc::new(AtomicBool::new(false)));
        let server = Self { address, log: Arc::clone(&log), sent: Arc::clone(&sent), stop: Arc::clone(&stop) };
        let handler: Handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (handler, log, sent) = (Arc::clone(&handler), Arc::clone(&log), Arc::clone(&sent));
                if let Ok(stream) = stream {
                    // A client that hangs up is part of the tests.
                    std::thread::spawn(move || drop(serve(stream, &handler, &log, &sent)));
                }
            }
        });
        server
    }

    /// `http://address/path`
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Bytes of bodies that were written to sockets.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread up.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Request>>, sent: &AtomicU64) -> std::io::Result<()> {
    let Some(request) = read_request(&mut BufReader::new(stream.try_clone()?), log)? else { return Ok(()) };
    let answer = handler(&request);
    write_answer(&mut stream, &answer, sent)
}

pub(crate) fn read_request(reader: &mut impl BufRead, log: &Mutex<Vec<Request>>) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut log = log.lock().unwrap();
    let request = Request { method, target, headers, number: log.len() };
    log.push(request.clone());
    Ok(Some(request))
}

pub(crate) fn write_answer(stream: &mut (impl Read + Write), answer: &Answer, sent: &AtomicU64) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    write!(head, "content-length: {}\r\n", answer.announced.unwrap_or(answer.body.len())).unwrap();
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = answer.cut.or(answer.stall).unwrap_or(answer.body.len());
    for chunk in answer.body[..end.min(answer.body.len())].chunks(64 << 10) {
        stream.write_all(chunk)?;
        sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
    }
    stream.flush()?;
    if answer.stall.is_some() {
        // Returns when the other side has had enough.
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}
