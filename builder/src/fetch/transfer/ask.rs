//! Small requests: release descriptions, checksum lists, registry manifests, retried like everything else.
//! Large content goes through `transfer.rs`.

use crate::fetch::net::fault::Fault;
use crate::fetch::net::http::Get;
use crate::fetch::net::retry::{Backoff, RetryPolicy};
use crate::fetch::transfer::Fetcher;
use crate::progress::Event;

/// A small answer.
pub(crate) struct Answer {
    pub bytes: Vec<u8>,
    pub final_host: Option<String>,
}

impl Fetcher<'_> {
    /// Asks until there is an answer or no attempt is left. `label` is what progress calls it; `request` keeps the
    /// authorization that was accepted.
    pub(crate) fn ask(&self, label: &str, request: &mut Get, retry: RetryPolicy) -> Result<Answer, Fault> {
        let mut backoff = Backoff::new(retry);
        loop {
            let fault = match self.ask_once(request) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let wait = backoff.next(fault.retry_after()).filter(|_| fault.worth_retrying());
            let Some(wait) = wait else { return Err(fault) };
            let text = format!("{label}: {fault}; trying again in {} s", wait.as_secs_f64().ceil());
            self.progress.event(&Event::Note { text: &text });
            if self.cancel.wait(wait) {
                return Err(fault);
            }
        }
    }

    fn ask_once(&self, request: &mut Get) -> Result<Answer, Fault> {
        let reply = self.client.get_authorized(request)?;
        let final_host = (!reply.mirrored).then(|| reply.final_host.clone());
        Ok(Answer { final_host, bytes: reply.bytes()? })
    }
}
