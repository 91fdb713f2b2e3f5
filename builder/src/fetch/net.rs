//! Talking to servers: requests, redirects, credentials, proxies, and when to try again.
//! What is asked of which server is decided in `fetch/source/`; storing what comes is in `fetch/transfer.rs`.

pub(crate) mod auth;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod login;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod retry;
