//! What holds for every text, however broken: an answer instead of a crash, and places that exist.
//! What the answer says about particular mistakes is tested in `messages.rs`.

use proptest::prelude::*;

use super::*;

/// Reads, draws, and checks that every place lies in the text.
fn survives(bytes: &[u8]) {
    let path = Path::new("m.toml");
    match parse(path, bytes, Arch::Aarch64) {
        Ok(parsed) => {
            parsed.render_warnings(true);
            missing_checksums(&parsed.manifest);
        }
        Err(errors) => {
            assert!(errors.diagnostics.iter().any(|found| found.severity == Severity::Error));
            let lines = String::from_utf8_lossy(bytes).matches('\n').count() + 1;
            assert!(errors.findings().iter().all(|found| (1..=lines).contains(&found.line)));
            let drawn = errors.render(false);
            assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'), "{drawn:?}");
        }
    }
}

/// Pieces that mean something to the parser, so that mutations reach its inner parts.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[[components]]\n",
        "[install]\n",
        "type = \"model-file\"\n",
        "source.type = \"url\"\n",
        "source.url = \"http://a:b@c\"\n",
        "source = {",
        "{goarch}",
        "{{",
        "checksum.aarch64 = \"\"\n",
        "}",
        "params.stop = [1, \"x\"]\n",
        "mode = 0o755\n",
        "content = \"\"\"\nExecStart=/opt/ollama/x\n",
        "\"\"\"\n",
        "= ",
        "install_path = \"/\"\n",
        "name = \"ä\u{1b}[2J\"\n",
        "[",
        "]",
        "'",
        "\\u0000",
        "\r\n",
        "é",
        "\t",
        "0755",
        "[package.name]\n",
    ];
    prop_oneof![3 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_pieces(pieces in prop::collection::vec(piece(), 0..30)) {
        survives(pieces.concat().as_bytes());
    }

    #[test]
    fn the_use_case_with_parts_cut_out_and_put_in(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, piece()), 1..6),
    ) {
        let mut characters: Vec<char> = USE_CASE.chars().collect();
        for (at, length, piece) in edits {
            let at = at.index(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, piece.chars());
        }
        survives(characters.into_iter().collect::<String>().as_bytes());
    }
}
