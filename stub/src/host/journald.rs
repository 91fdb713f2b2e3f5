//! systemd's journal: an entry with fields, sent as the native protocol has it (`systemd.io/JOURNAL_NATIVE_PROTOCOL`).
//! What is told there is in `record/log.rs`.

use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Of one value: a datagram that is too large is lost.
const LIMIT: usize = 8 << 10;

/// The way to the journal.
#[derive(Debug)]
pub struct Journald(UnixDatagram);

impl Journald {
    /// Where no systemd listens, there is none.
    pub fn open() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect(SOCKET).ok()?;
        Some(Self(socket))
    }

    /// Sends one entry. The journal may lose it, as it may lose anybody's.
    pub fn send(&self, fields: &[(&str, String)]) {
        let _may_be_lost = self.0.send(&entry(fields));
    }
}

/// A value of one line stands behind `=`; others behind their length.
fn entry(fields: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        let value = &value.as_bytes()[..value.len().min(LIMIT)];
        bytes.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_value_of_several_lines_stands_behind_its_length() {
        let fields = [("MESSAGE", "two\nlines".to_owned()), ("PRIORITY", "6".to_owned())];
        assert_eq!(entry(&fields), b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=6\n");
    }
}
