//! Archives as they come, and archives that mean harm. All of them are built here, byte by byte where the tar crate
//! would refuse to write what a hostile archive holds.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use payload::Digest;
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;
use crate::fetch::artifact::VerifiedFile;

pub(crate) const ELF: &[u8] = b"\x7fELF the rest does not matter here";

/// A member: path, type, mode, link target, content.
pub(crate) type Raw<'a> = (&'a str, EntryType, u32, &'a str, &'a [u8]);

pub(crate) fn file<'a>(path: &'a str, mode: u32, content: &'a [u8]) -> Raw<'a> {
    (path, EntryType::Regular, mode, "", content)
}

pub(crate) fn link<'a>(path: &'a str, target: &'a str) -> Raw<'a> {
    (path, EntryType::Symlink, 0o777, target, b"")
}

/// A tar archive of these members, whatever their names are.
pub(crate) fn tar(members: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, target, content) in members {
        let mut header = Header::new_gnu();
        let fields = header.as_old_mut();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn verified(directory: &Path, name: &str, bytes: &[u8]) -> VerifiedFile {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    let location = format!("file:{name}");
    VerifiedFile { path, name: name.to_owned(), size: bytes.len() as u64, digest: Digest::of(bytes), location }
}

fn unpack_named(
    name: &str,
    bytes: &[u8],
    exclude: &[&str],
    limits: Limits,
) -> (TempDir, Result<Unpacked, ContentError>) {
    let dir = tempfile::tempdir().unwrap();
    let artifact = Artifact::File(verified(dir.path(), name, bytes));
    let exclude: Vec<String> = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
    let unpacked = unpack(&artifact, &Exclude::new(&exclude).unwrap(), limits, &dir.path().join("work"));
    (dir, unpacked)
}

fn members(name: &str, bytes: &[u8]) -> (TempDir, Members) {
    match unpack_named(name, bytes, &[], Limits::default()) {
        (dir, Ok(Unpacked::Members(members))) => (dir, members),
        (_, other) => panic!("{other:?}"),
    }
}

fn refusal(members: &[Raw<'_>]) -> String {
    match unpack_named("x.tar", &tar(members), &[], Limits::default()).1 {
        Err(error @ ContentError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn names(members: &Members) -> Vec<&str> {
    members.list.keys().map(payload::RelPath::as_str).collect()
}

pub(crate) fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(members: &[(&str, u32, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, mode, content) in members {
        writer.start_file(*path, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        writer.write_all(content).unwrap();
    }
    for (path, target) in links {
        writer.add_symlink(*path, *target, SimpleFileOptions::default()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn every_format_gives_the_same_members_whatever_its_name() {
    let plain =
        tar(&[file("./bin/ollama", 0o755, ELF), file("lib/ollama/a.so", 0o644, b"a"), link("lib/ollama/b.so", "a.so")]);
    let zipped = zip(&[("bin/ollama", 0o755, ELF), ("lib/ollama/a.so", 0o644, b"a")], &[("lib/ollama/b.so", "a.so")]);
    for bytes in [plain.clone(), gz(&plain), xz(&plain), zst(&plain), zipped] {
        let (_dir, members) = members("download", &bytes);
        assert_eq!(names(&members), ["bin/ollama", "lib/ollama/a.so", "lib/ollama/b.so"]);
        let Some(Member::File { content, executable: true }) = members.list.values().next() else { panic!() };
        assert_eq!((content.size, content.digest), (ELF.len() as u64, Digest::of(ELF)));
        assert_eq!(fs::read(&content.path).unwrap(), ELF);
        assert_eq!(members.list.values().last(), Some(&Member::SymbolicLink { target: "a.so".to_owned() }));
    }
}

#[test]
fn the_window_of_ultra_compression_is_accepted() {
    let plain = tar(&[file("bin/ollama", 0o755, ELF)]);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&plain).unwrap();
    let (_dir, members) = members("x.tar.zst", &encoder.finish().unwrap());
    assert_eq!(names(&members), ["bin/ollama"]);
}

#[test]
fn a_program_needs_no_archive_around_it() {
    for bytes in [ELF.to_vec(), gz(ELF), xz(ELF), zst(ELF)] {
        let (_dir, unpacked) = unpack_named("ollama", &bytes, &[], Limits::default());
        let Ok(Unpacked::Program(content)) = unpacked else { panic!("{unpacked:?}") };
        assert_eq!((content.size, content.digest), (ELF.len() as u64, Digest::of(ELF)));
        assert_eq!(fs::read(content.path).unwrap(), ELF);
    }
}

#[test]
fn what_is_neither_is_named() {
    for (bytes, what) in [
        (&b"<html>Not Found</html>"[..], "web page"),
        (b"", "empty"),
        (b"BZh91AY", "bzip2"),
        (b"MZ\x90\0", "Windows"),
        (b"just text", "neither an archive"),
    ] {
        let (_dir, unpacked) = unpack_named("ollama.tar", bytes, &[], Limits::default());
        let Ok(Unpacked::Neither(text)) = unpacked else { panic!("{unpacked:?}") };
        assert!(text.contains(what), "{text}");
    }
}

#[test]
fn paths_that_escape_are_refused() {
    for path in ["../evil", "a/../../evil", "/etc/cron.d/evil", "a/./b", "a//b", "a\nb", "a/.."] {
        let text = refusal(&[file(path, 0o644, b"x")]);
        assert!(text.contains("was refused: member"), "{text}");
    }
    let (_dir, zipped) = unpack_named("x.zip", &zip(&[("../evil", 0o644, b"x")], &[]), &[], Limits::default());
    assert!(matches!(zipped, Err(ContentError::Refused { .. })), "{zipped:?}");
}

#[test]
fn nothing_is_ever_placed_through_a_link() {
    let text = refusal(&[link("lib", "/etc"), file("lib/passwd", 0o644, b"x")]);
    assert!(text.contains("\"lib/passwd\" lies below \"lib\""), "{text}");
    let text = refusal(&[file("lib/passwd", 0o644, b"x"), link("lib", "/etc")]);
    assert!(text.contains("lies below"), "{text}");
}

#[test]
fn devices_pipes_and_special_bits_are_refused() {
    for kind in [EntryType::Block, EntryType::Char, EntryType::Fifo] {
        assert!(refusal(&[("dev/x", kind, 0o644, "", b"")]).contains("member \"dev/x\" is a"));
    }
    assert!(refusal(&[file("bin/su", 0o4755, b"x")]).contains("set-uid"));
    assert!(refusal(&[file("bin/sg", 0o2755, b"x")]).contains("set-gid"));
}

#[test]
fn two_members_of_one_name_are_refused() {
    assert!(refusal(&[file("a", 0o644, b"1"), file("a", 0o644, b"2")]).contains("two members named \"a\""));
    assert!(refusal(&[file("a", 0o644, b"1"), link("./a", "b")]).contains("two members"));
    assert!(refusal(&[link("a", "b"), ("a/", EntryType::Directory, 0o755, "", b"")]).contains("two members"));
    let twice = [("a/", EntryType::Directory, 0o755, "", &b""[..]), ("a/", EntryType::Directory, 0o755, "", b"")];
    assert_eq!(names(&members("x.tar", &tar(&twice)).1), ["a"]);
}

#[test]
fn hard_links_name_files_of_the_archive() {
    let hard = |to| ("b", EntryType::Link, 0o644, to, &b""[..]);
    assert!(refusal(&[file("a", 0o644, b"1"), hard("/etc/shadow")]).contains("hard link"));
    assert!(refusal(&[file("a", 0o644, b"1"), hard("../a")]).contains("hard link"));
    assert!(refusal(&[file("a", 0o644, b"1"), hard("c")]).contains("no file of the archive"));
    let (_dir, members) = members("x.tar", &tar(&[file("a", 0o644, b"1"), hard("./a")]));
    assert_eq!(members.list.values().last(), Some(&Member::HardLink { to: "a".parse().unwrap() }));
    let bytes = tar(&[file("a", 0o644, b"1"), hard("a")]);
    let (_dir, unpacked) = unpack_named("x.tar", &bytes, &["a"], Limits::default());
    assert!(unpacked.unwrap_err().to_string().contains("exclude pattern \"a\""));
}

#[test]
fn bombs_stop_at_the_limit() {
    let limits = Limits { bytes: 64 << 10, members: 3 };
    let zeros = vec![0; 1 << 20];
    for bytes in [
        zst(&tar(&[file("a", 0o644, &zeros)])),
        gz(&tar(&[file("a", 0o644, &zeros)])),
        zip(&[("a", 0o644, &zeros)], &[]),
    ] {
        let (_dir, unpacked) = unpack_named("x", &bytes, &[], limits);
        assert!(unpacked.unwrap_err().to_string().contains("larger than 65536 bytes"));
    }
    let behind_the_end = zst(&[tar(&[file("a", 0o644, b"x")]), zeros].concat());
    let (_dir, unpacked) = unpack_named("x", &behind_the_end, &[], limits);
    assert!(matches!(unpacked, Err(ContentError::Refused { .. })), "{unpacked:?}");
    let many = tar(&[file("a", 0o644, b""), file("b", 0o644, b""), file("c", 0o644, b""), file("d", 0o644, b"")]);
    let (_dir, unpacked) = unpack_named("x", &many, &[], limits);
    assert!(unpacked.unwrap_err().to_string().contains("more than 3 members"));
}

#[test]
fn truncation_and_damage_are_noticed() {
    let plain = tar(&[file("a", 0o644, &[7; 5000]), file("b", 0o644, &[8; 5000])]);
    let damaged = |bytes: &[u8]| {
        let (_dir, unpacked) = unpack_named("x.tar", bytes, &[], Limits::default());
        let error = unpacked.unwrap_err();
        assert!(matches!(error, ContentError::Damaged { .. }), "{error}");
        assert_eq!(error.exit_code(), 42);
    };
    damaged(&plain[..3000]);
    damaged(&plain[..6500]);
    for packed in [gz(&plain), xz(&plain), zst(&plain)] {
        damaged(&packed[..packed.len() - 3]);
    }
    let mut wrong_checksum = gz(&plain);
    let at = wrong_checksum.len() - 6;
    wrong_checksum[at] ^= 1;
    damaged(&wrong_checksum);
}

#[test]
fn exclude_takes_directories_with_all_below_and_no_more() {
    let bytes = tar(&[
        file("bin/ollama", 0o755, ELF),
        file("lib/ollama/a.so", 0o644, b"a"),
        file("lib/ollama/cuda_v12/a.so", 0o644, b"a"),
        file("lib/ollama/cuda_v13/b.so", 0o644, b"b"),
    ]);
    let left = |exclude: &[&str]| {
        let (_dir, unpacked) = unpack_named("x.tar", &bytes, exclude, Limits::default());
        let Ok(Unpacked::Members(members)) = unpacked else { panic!("{unpacked:?}") };
        names(&members).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(left(&["lib/ollama/cuda_*"]), ["bin/ollama", "lib/ollama/a.so"]);
    assert_eq!(left(&["lib/ollama/*.so", "lib/ollama/cuda_v13/"]), ["bin/ollama", "lib/ollama/cuda_v12/a.so"]);
    assert_eq!(left(&["**/*.so"]), ["bin/ollama"]);
    assert_eq!(left(&["ollama"]).len(), 4);
    assert!(Exclude::new(&["a[".to_owned()]).unwrap_err().contains("\"a[\""));
}

#[test]
fn a_single_top_directory_does_not_matter_to_patterns() {
    let bytes =
        tar(&[file("ollama-0.15/bin/ollama", 0o755, ELF), file("ollama-0.15/lib/ollama/cuda_v12/a.so", 0o644, b"a")]);
    let (_dir, unpacked) = unpack_named("x.tar", &bytes, &["lib/ollama/cuda_*"], Limits::default());
    let Ok(Unpacked::Members(members)) = unpacked else { panic!("{unpacked:?}") };
    assert_eq!((names(&members), members.excluded.len()), (vec!["ollama-0.15/bin/ollama"], 1));
}

#[test]
fn directories_are_read_without_following_links() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("unpacked");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("bin/ollama"), ELF).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    let artifact = Artifact::Directory { path: root.clone() };
    let unpacked = unpack(&artifact, &Exclude::default(), Limits::default(), &dir.path().join("work")).unwrap();
    let Unpacked::Members(members) = unpacked else { panic!() };
    assert_eq!(names(&members), ["bin", "bin/ollama", "etc"]);
    assert!(matches!(&members.list[&"bin/ollama".parse().unwrap()], Member::File { content, executable: false }
        if content.path == root.join("bin/ollama") && content.digest == Digest::of(ELF)));
}

#[test]
fn install_paths_select_what_a_reader_expects() {
    let chosen = |paths: &[&str], wanted: &str| {
        let raw: Vec<Raw<'_>> = paths.iter().map(|path| file(path, 0o755, ELF)).collect();
        let (_dir, members) = members("x.tar", &tar(&raw));
        match select(&members, wanted) {
            Selection::Program { member, companions } => {
                format!("{} + {}", member.as_str(), companions.as_ref().map_or("", payload::RelPath::as_str))
            }
            Selection::Directory(path) => format!("{}/", path.as_str()),
            Selection::Ambiguous(found) => format!("{} candidates", found.len()),
            Selection::Missing => "missing".to_owned(),
        }
    };
    assert_eq!(chosen(&["bin/ollama", "x/ollama"], "bin/ollama"), "bin/ollama + lib/ollama");
    assert_eq!(chosen(&["v1/bin/ollama", "v1/x/ollama"], "bin/ollama"), "v1/bin/ollama + v1/lib/ollama");
    assert_eq!(chosen(&["bin/ollama"], "usr/local/bin/ollama"), "bin/ollama + lib/ollama");
    assert_eq!(chosen(&["ollama", "README"], "bin/ollama"), "ollama + lib/ollama");
    assert_eq!(chosen(&["dist/linux/ollama", "README"], "bin/ollama"), "dist/linux/ollama + dist/linux/lib/ollama");
    assert_eq!(chosen(&["amd64/ollama", "arm64/ollama"], "bin/ollama"), "2 candidates");
    assert_eq!(chosen(&["lib/ollama/rocm/a.so"], "lib/ollama/rocm"), "lib/ollama/rocm/");
    assert_eq!(chosen(&["lib/ollama/rocm/a.so"], "bin/ollama"), "missing");
}
