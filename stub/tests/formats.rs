//! Frozen fixtures of everything the stub ever wrote: they stay readable for ever, and what is newer is refused by name.
//! How whole installations deal with them is tested in `tests/tests/crash_formats.rs`.

use stub::apply::journal::{self, JournalError};
use stub::record::receipt::{Receipt, ReceiptError};

const JOURNAL_1: &[u8] = include_bytes!("fixtures/journal-v1");
const JOURNAL_2: &[u8] = include_bytes!("fixtures/journal-v2");
const RECEIPT_1: &[u8] = include_bytes!("fixtures/receipt-v1.json");
const RECEIPT_2: &[u8] = include_bytes!("fixtures/receipt-v2.json");

#[test]
fn a_journal_of_version_1_is_read() {
    let unfinished = journal::parse(JOURNAL_1).unwrap();
    let header = &unfinished.header;
    assert_eq!(header.generation, 2);
    assert_eq!(header.areas.len(), 5);
    assert_eq!(header.made.len(), 2);
    assert!(header.reload);
    let actions: Vec<&str> = unfinished.steps.iter().map(|begun| begun.step.action()).collect();
    let expected = [
        "stop-unit",
        "stop-unit",
        "disable-unit",
        "create-group",
        "create-user",
        "make-directory",
        "place-file",
        "place-file",
        "place-file",
        "place-file",
        "place-file",
        "remove-symbolic-link",
        "make-symbolic-link",
        "remove-file",
        "make-hard-link",
        "set-owner",
        "place-file",
        "restore-labels",
        "keep-installer",
        "reload-systemd",
        "enable-unit",
        "start-unit",
    ];
    assert_eq!(actions, expected);
    let shown = format!("{:?}", unfinished.steps);
    for fact in ["Ours {", "Foreign {", "Nothing", "ModelBlob", "ModelManifest", "Unit", "Config", "Program", "0640"] {
        assert!(shown.contains(fact), "{fact} is not in {shown}");
    }
}

#[test]
fn steps_know_where_their_lines_start() {
    let unfinished = journal::parse(JOURNAL_1).unwrap();
    for begun in &unfinished.steps {
        let offset = usize::try_from(begun.offset).unwrap();
        assert_eq!(&JOURNAL_1[offset - 1..=offset], b"\n{");
        let before = journal::parse(&JOURNAL_1[..offset]).unwrap();
        assert!(!before.steps.contains(begun) && unfinished.steps.starts_with(&before.steps));
    }
}

#[test]
fn a_last_line_that_did_not_reach_the_disk_is_left_out_and_any_other_is_an_error() {
    let whole = journal::parse(JOURNAL_1).unwrap();
    let start = usize::try_from(whole.steps.last().unwrap().offset).unwrap();
    for end in start..JOURNAL_1.len() {
        assert_eq!(journal::parse(&JOURNAL_1[..end]).unwrap().steps.len(), whole.steps.len() - 1);
    }
    let mut zeros = JOURNAL_1.to_vec();
    zeros[start..].fill(0);
    assert_eq!(journal::parse(&zeros).unwrap().steps.len(), whole.steps.len() - 1);
    zeros.push(b'\n');
    assert_eq!(journal::parse(&zeros).unwrap().steps.len(), whole.steps.len() - 1);
    zeros.extend_from_slice(&JOURNAL_1[start..]);
    assert!(matches!(journal::parse(&zeros), Err(JournalError::Broken(_))));
}

#[test]
fn a_receipt_of_version_1_is_read_and_written_unchanged() {
    let receipt = Receipt::from_json(RECEIPT_1).unwrap();
    assert_eq!((receipt.generation, receipt.version.as_str()), (2, "2"));
    assert_eq!(receipt.user.as_ref().map(|user| (user.name.as_str(), user.id)), Some(("demo", 550)));
    let mut written = Vec::new();
    receipt.write_json(&mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8_lossy(RECEIPT_1));
}

#[test]
fn newer_versions_are_refused_by_name() {
    let journal = journal::parse(JOURNAL_2).unwrap_err();
    assert_eq!(journal, JournalError::Newer { found: 2, known: 1 });
    assert!(journal.to_string().contains("use the newer installer"));
    let receipt = Receipt::from_json(RECEIPT_2).unwrap_err();
    assert_eq!(receipt, ReceiptError::Newer { found: 2, known: 1 });
    assert!(receipt.to_string().contains("use the newer installer"));
}
