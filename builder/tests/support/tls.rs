//! A TLS server with a private certificate authority, and a proxy that leads every host name to it.
//! What they are asked is in the tests.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{Answer, Request, read_request, write_answer};

/// The server, and the certificate of its authority in PEM.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    log: Arc<Mutex<Vec<Request>>>,
}

/// A proxy that knows `CONNECT` alone, and one address.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
}

impl TlsServer {
    pub(crate) fn start(names: &[&str], handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let (config, authority) = certified(names);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let server = Self { address, authority, log: Arc::clone(&log) };
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, handler, log) = (Arc::clone(&config), Arc::clone(&handler), Arc::clone(&log));
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    // A client that does not trust the certificate hangs up: part of the tests.
                    if let Ok(Some(request)) = read_request(&mut BufReader::new(&mut stream), &log) {
                        let _ = write_answer(&mut stream, &handler(&request), &AtomicU64::new(0));
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                });
            }
        });
        server
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

fn certified(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (Arc::new(config), authority.pem())
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let proxy = Self { address, log: Arc::clone(&log) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || drop(tunnel(stream, to, &log)));
            }
        });
        proxy
    }

    /// `host:port` of each `CONNECT`.
    pub(crate) fn connects(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }
}

fn tunnel(mut client: TcpStream, to: SocketAddr, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    // Nothing follows the request before the answer: the reader takes no byte of the tunnel.
    read_request(&mut BufReader::with_capacity(1, client.try_clone()?), log)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let server = TcpStream::connect(to)?;
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let upstream = std::thread::spawn(move || copy(from_client, to_server));
    copy(server, client);
    drop(upstream.join());
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
