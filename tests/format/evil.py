#!/usr/bin/env python3
"""Evil packages out of a good one: `evil.py GOOD.run DIRECTORY` writes them, and prints what each is and deserves.

Digests are right everywhere but where a package is about a wrong one. What is expected: 0 (good), 10 (damaged), 12 (not
readable), or, of random damage, one of the last two; beside it stands the verdict of the reader in `runfile.py`.
"""

import copy
import json
import lzma
import os
import random
import struct
import sys

import runfile
from runfile import CHUNK, digest

HIDDEN = "\n\r\t\x1b\x7f\u2028\u200b\ufeff\u00ad\u202e\U000e0041\u00a0\u3164\ufe0f"
SEED = 20261124


class Package:
    """A package in pieces, to be changed and written."""

    def __init__(self, run):
        self.index = copy.deepcopy(run.index)
        self.stub, self.documents, self.blobs = b"", {}, {}
        for at, length, what in run.regions:
            data = run.data[at : at + length]
            if isinstance(what, tuple) and what[0] == "stub":
                self.stub = data
            elif isinstance(what, tuple) and what[0] == "document":
                self.documents[what[1]["name"]] = data
            elif isinstance(what, tuple):
                self.blobs[what[1]["digest"]] = data

    def blob(self, stored, content=None, encoding="raw", name=None):
        """A blob's entry, with right chunks; `name` is another digest than that of its content."""
        content = stored if content is None else content
        name = name or digest(content)
        self.blobs[name] = stored
        chunks = [digest(stored[at : at + CHUNK]) for at in range(0, len(stored), CHUNK)]
        return {"digest": name, "size": len(content), "encoding": encoding, "stored_size": len(stored), "chunks": chunks}

    def file(self, path, content=b"content of a file\n", role="config", mode="0644", blob=None):
        """Adds a file with the directories above it, as a builder would."""
        listed = {entry["path"] for entry in self.index["directories"]}
        parts = path.split("/")
        for above in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
            if above not in listed:
                self.index["directories"].append({"path": above, "mode": "0755", "owner": "root", "group": "root"})
        blob = blob or self.blob(content)
        if all(known["digest"] != blob["digest"] for known in self.index["blobs"]):
            self.index["blobs"].append(blob)
        entry = {"path": path, "blob": blob["digest"], "mode": mode, "owner": "root", "group": "root", "role": role}
        entry["component"] = 0
        self.index["files"].append(entry)
        self.index["files"].sort(key=lambda entry: runfile.ROLES.index(entry["role"]))
        return entry

    def symbolic(self, path, target):
        self.index["links"].append({"path": path, "symbolic": target, "owner": "root", "group": "root"})


def in_index(change):
    """A change of the index alone."""
    return lambda package: change(package.index)


def a_file(path, **rest):
    return lambda package: package.file(path, **rest)


def replace_blob(stored_of, encoding="xz", name_of=None):
    """The content of an added file, stored in an odd way."""
    content = b"some text that repeats itself. " * 5000

    def change(package):
        stored = stored_of(content)
        blob = package.blob(stored, content, encoding, digest(name_of(content)) if name_of else None)
        package.file("opt/evil/file", blob=blob)

    return change


def prefix_of(package):
    return package.index["install"]["prefix"]


def links(*pairs):
    def change(package):
        for path, target in pairs:
            package.symbolic(prefix_of(package) + "/" + path, target)

    return change


def directories(*names):
    def change(package):
        for name in names:
            path = prefix_of(package) + "/" + name
            package.index["directories"].append({"path": path, "mode": "0755", "owner": "root", "group": "root"})

    return change


def optional(entries, name="choice"):
    """An optional component with a file; `entries` says for which components the file and its directory are there."""

    def change(package):
        components = package.index["components"]
        components.append({"name": name, "type": "config-file", "required": False, "sources": []})
        at = len(components) - 1
        package.file("opt/evil/of/choice", b"of choice\n")
        for entry in package.index["directories"] + package.index["files"]:
            positions = [at if position == "at" else position for position in entries.get(entry["path"], [])]
            if "component" in entry and entry["path"] == "opt/evil/of/choice":
                entry["component"] = at
            if entry["path"] in entries:
                entry["only_for"] = positions

    return change


def both(*changes):
    def change(package):
        for one in changes:
            one(package)

    return change


def set_at(*way):
    """Sets what stands at a way into the index to the last of the arguments."""

    def change(index):
        for step in way[:-2]:
            index = index[step]
        index[way[-2]] = way[-1]

    return in_index(change)


def text_of(change):
    """Another text of the same index."""
    return lambda package: setattr(package, "text", change)


def false_raw_digest(package):
    content = random.Random(SEED).randbytes(CHUNK + 1000)
    package.file("opt/evil/model", blob=package.blob(content, name=digest(b"what upstream published")))


def enlarged_section(package):
    """A section reaches over the table: two readers could see two archives."""
    stub = bytearray(package.stub)
    (table,) = struct.unpack_from("<Q", stub, 40)
    struct.pack_into("<Q", stub, table + 32, len(stub) + 1)
    package.set_stub(bytes(stub))


def section_count(package):
    stub = bytearray(package.stub)
    struct.pack_into("<H", stub, 60, 0)
    package.set_stub(bytes(stub))


def crowd_up_to(count):
    """So many directories, files and links together."""

    def change(package):
        path = prefix_of(package)
        there = sum(len(package.index[kind]) for kind in ("directories", "files", "links"))
        entry = {"mode": "0755", "owner": "root", "group": "root"}
        package.index["directories"] += [{"path": "%s/d%05d" % (path, n), **entry} for n in range(there, count)]

    return change


def variants():
    xz = lzma.compress
    yield "good-as-it-is", 0, lambda package: None
    yield "good-cron", 0, a_file("etc/cron.d/evil")
    yield "good-tool", 0, a_file("usr/bin/evil-tool", role="program", mode="0755")
    yield "good-local-tool", 0, a_file("usr/local/bin/evil", role="program", mode="0755")
    yield "good-xz", 0, replace_blob(xz)
    yield "good-xz-other-check", 0, replace_blob(lambda content: xz(content, check=lzma.CHECK_SHA256))
    filters = [{"id": lzma.FILTER_DELTA, "dist": 2}, {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 8 << 20}]
    yield "good-xz-other-filters", 0, replace_blob(lambda content: xz(content, filters=filters))
    yield "good-description", 0, set_at("package", "description", "ein Modell \u2764\ufe0f")
    yield "good-description-of-hidden-characters", 0, set_at("package", "description", "a\u202eb\u200b\u2028\ufeff\u00ad\U000e0041c")
    yield "good-names-of-a-shell", 0, a_file("opt/evil/$(touch pwn);`x` 'y' \"z\" \\u{200b}")
    yield "good-names-that-look-alike", 0, both(a_file("opt/evil/\u00e9"), a_file("opt/evil/e\u0301"))
    yield "good-empty-file", 0, a_file("opt/evil/empty", content=b"")
    yield "good-links", 0, both(directories("d", "d/e"), links(("d/e/up", ".."), ("d/e/self", "../e")))

    # Contents
    yield "raw-digest-false", 10, false_raw_digest
    yield "raw-digest-of-one-chunk-false", 12, lambda package: package.file(
        "opt/evil/f", blob=package.blob(b"small", name=digest(b"other"))
    )
    yield "xz-and-a-byte", 10, replace_blob(lambda content: xz(content) + b"x")
    yield "xz-and-padding", 10, replace_blob(lambda content: xz(content) + b"\0" * 4)
    yield "xz-and-a-megabyte", 10, replace_blob(lambda content: xz(content) + b"x" * (1 << 20))
    yield "xz-and-another-stream", 10, replace_blob(lambda content: xz(content) + xz(b"hidden"))
    yield "xz-of-more", 10, replace_blob(lambda content: xz(content + b"more"))
    yield "xz-of-less", 10, replace_blob(lambda content: xz(content[:-1]))
    yield "xz-of-other", 10, replace_blob(lambda content: xz(content[:-1] + b"!"))
    yield "xz-cut", 10, replace_blob(lambda content: xz(content)[:-20])
    yield "xz-that-is-none", 10, replace_blob(lambda content: b"no xz at all")
    yield "xz-bomb", 10, replace_blob(lambda content: xz(b"\0" * (64 << 20)))
    yield "xz-that-is-lzma", 10, replace_blob(lambda content: xz(content, format=lzma.FORMAT_ALONE))
    huge = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 128 << 20}]
    yield "xz-that-wants-memory", 10, replace_blob(lambda content: xz(content, filters=huge))
    yield "xz-digest-false", 10, replace_blob(xz, name_of=lambda content: content + b"x")

    # The stub
    yield "stub-section-over-the-table", 10, enlarged_section
    yield "stub-without-sections", 10, section_count
    yield "stub-of-another-digest", 10, set_at("build", "stub", "digest", digest(b"another"))
    yield "stub-of-another-size", 10, set_at("build", "stub", "size", 4096)

    # Links
    chain = both(directories("a", "a/b"), links(("a/b/l", "../.."), ("a/b/s", "l/../../etc/shadow")))
    yield "link-chain-that-leaves", 12, chain
    for name, target in [
        ("absolute", "/etc/passwd"), ("out", "../../../../etc/passwd"), ("dangling", "nothing"), ("empty", ""),
        ("dot", "./bin"), ("slash", "bin/"), ("up-after-a-name", "bin/../bin"), ("itself", "link"), ("nul", "a\0b"),
    ]:  # fmt: skip
        yield "link-" + name, 12, links(("link", target))
    yield "link-circle", 12, links(("one", "two"), ("two", "three"), ("three", "one"))
    chain = lambda length: links(*[("c%d" % n, "c%d" % (n + 1)) for n in range(1, length)], ("c%d" % length, "bin"))  # noqa: E731
    yield "good-link-chain-of-8", 0, chain(8)
    yield "link-chain-of-9", 12, chain(9)
    yield "link-outside-the-prefix", 12, lambda package: (
        package.file("etc/evil.conf"), package.symbolic("etc/evil.link", "evil.conf"))  # fmt: skip
    hard = lambda to, **rest: in_index(  # noqa: E731
        lambda index: index["links"].append(
            {"path": index["install"]["prefix"] + "/hard", "hard": to(index), "owner": "root", "group": "root", **rest}
        )
    )
    yield "hard-link-to-a-directory", 12, hard(lambda index: index["install"]["prefix"])
    yield "hard-link-to-nothing", 12, hard(lambda index: "etc/passwd")
    yield "hard-link-of-another-owner", 12, hard(lambda index: index["files"][0]["path"], owner="nobody")
    yield "link-both-hard-and-symbolic", 12, in_index(
        lambda index: index["links"].append(
            {"path": "opt/x", "hard": "opt/y", "symbolic": "z", "owner": "root", "group": "root"}
        )
    )

    # Paths
    yield "parent-not-listed", 12, in_index(lambda index: index["directories"].pop(0))
    yield "child-before-parent", 12, in_index(lambda index: index["directories"].reverse())
    yield "directory-twice", 12, in_index(lambda index: index["directories"].append(index["directories"][-1]))
    yield "file-twice", 12, in_index(lambda index: index["files"].append(index["files"][-1]))
    yield "below-a-file", 12, lambda package: package.index["files"].append(
        {**package.index["files"][-1], "path": package.index["files"][-1]["path"] + "/x"}
    )
    for name, path in [
        ("absolute", "/etc/x"), ("up", "opt/../etc/x"), ("empty", ""), ("dot", "opt/./x"), ("double", "opt//x"),
        ("slash", "opt/x/"), ("long-name", "opt/" + "n" * 256), ("deep", "/".join(["d"] * 65)), ("long", "d/" * 2500 + "x"),
    ]:  # fmt: skip
        yield "path-" + name, 12, set_at("files", -1, "path", path)
    for c in HIDDEN:
        yield "path-with-%04x" % ord(c), 12, a_file("opt/evil/a%sb" % c)
    yield "good-entries-at-the-limit", 0, crowd_up_to(10000)
    yield "entries-over-the-limit", 12, crowd_up_to(10001)
    yield "var-is-a-file", 12, set_at("files", -1, "path", "var")
    for path in [
        "var/lib/airgap-deploy/x/receipt.json", "var/lib/airgap-deploy/x/journal", "etc/airgap-deploy/trusted-keys/x.pub",
        "usr/local/sbin/airgap-deploy", "var/log/airgap-deploy/x.log", "opt/evil/.airgap-deploy.x/f0",
        "opt/evil/x.airgap-deploy-backup", "opt/evil/x.airgap-deploy-backup.2", "etc/sudoers", "etc/sudoers.d/x", "etc/shadow",
        "etc/passwd", "etc/ld.so.preload", "etc/pam.d/x", "etc/ssh/sshd_config.d/x.conf", "etc/systemd/system-generators/x",
        "root/.ssh/authorized_keys", "proc/x", "sys/x", "dev/sda", "run/x", "boot/vmlinuz", "tmp/x", "usr/bin/sudo", "bin/sh",
        "usr/sbin/sshd", "vmlinuz",
    ]:  # fmt: skip
        yield "place-" + path.replace("/", "+"), 12, a_file(path)

    # Accounts, modes, prefixes
    for user, group in [("root", "x"), ("x", "root"), ("x", "sudo"), ("x", "shadow"), ("x", "docker"), ("x", "wheel")]:
        account = both(set_at("install", "user", user), set_at("install", "group", group))
        yield "account-%s-%s" % (user, group), 12, account
    for user in ["-x", "9", "a b", "a:b", "Root", "ü", "x" * 32, ""]:
        yield "user-%r" % user, 12, both(set_at("install", "user", user), set_at("install", "group", "x"))
    yield "user-without-group", 12, both(set_at("install", "user", "x"), set_at("install", "group", None))
    for mode in ["777", "0666", "0777", "4755", "1777", "00644", "0x644", "", 420, None]:
        yield "mode-%s" % mode, 12, set_at("files", -1, "mode", mode)
    yield "directory-mode-0777", 12, set_at("directories", -1, "mode", "0777")
    for prefix in ["etc", "etc/x", "proc", "proc/x", "usr", "usr/bin", "var/lib", "lib", "run/x", "root/x", "", "/opt/x"]:
        yield "prefix-" + prefix.replace("/", "+"), 12, set_at("install", "prefix", prefix)

    # Units, models
    rename = lambda name: lambda package: (  # noqa: E731
        package.file("etc/systemd/system/" + name, role="unit"),
        package.index["units"].append({"name": name, "path": "etc/systemd/system/" + name, "drop_in": None}),
    )
    yield "good-unit", 0, rename("evil@x.timer")
    for name in ["x;touch pwn;.service", "-x.service", ".service", "x", "x.conf", "a b.service", "ü.service", "$(x).service"]:
        yield "unit-" + name.replace("/", "+"), 12, rename(name)
    outside = lambda package: (  # noqa: E731
        package.file("opt/evil/x.service", role="unit"),
        package.index["units"].append({"name": "x.service", "path": "opt/evil/x.service", "drop_in": None}),
    )
    yield "unit-outside-of-systemds-directories", 12, outside
    yield "unit-without-a-file", 12, in_index(
        lambda index: index["units"].append({"name": "y.service", "path": "etc/systemd/system/y.service", "drop_in": None})
    )
    yield "model-without-a-manifest", 12, in_index(
        lambda index: index["models"].append({"name": "m", "manifest": index["files"][0]["path"]})
    )

    # Texts
    for c in HIDDEN:
        yield "version-with-%04x" % ord(c), 12, set_at("package", "version", "1%s0" % c)
        elf = {"machine": "x86_64" + c, "glibc": None}
        yield "machine-with-%04x" % ord(c), 12, set_at("files", 0, "elf", elf)
    yield "description-with-a-line-feed", 12, set_at("package", "description", "a\nb")
    yield "description-too-long", 12, set_at("package", "description", "a" * 4097)
    yield "name-of-the-package", 12, set_at("package", "name", "../x")
    yield "name-of-a-component", 12, set_at("components", 0, "name", "x\u200b")
    yield "elf-null", 12, set_at("files", 0, "elf", None)

    # Documents
    yield "no-documents", 12, set_at("documents", [])
    yield "manifest-of-another-digest", 12, set_at("build", "manifest", digest(b"x"))
    def document(name, first=False):
        def change(package):
            package.documents[name] = b"text"
            entry = {"name": name, "size": 4, "digest": digest(b"text")}
            package.index["documents"].insert(0 if first else len(package.index["documents"]), entry)

        return change

    yield "good-document", 0, document("LICENSES/evil")
    yield "good-document-of-100", 0, document("d" * 100)
    yield "manifest-not-first", 12, document("a.txt", first=True)
    for name in ["d" * 101, "index.json", "index.json.minisig", "blobs/x", "a b", "ü", "manifest.toml", "a\\b"]:
        yield "document-" + name.replace("/", "+"), 12, document(name)

    # Numbers
    for name, number in [("huge", 1 << 63), ("larger", 1 << 64), ("negative", -1), ("float", 1.0), ("true", True), ("text", "1")]:
        yield "size-" + name, 12, set_at("blobs", 0, "size", number)
    yield "stored-size-huge", 12, set_at("blobs", 0, "stored_size", 1 << 62)
    yield "component-that-is-not-there", 12, set_at("files", 0, "component", 99)
    # Optional components
    file, above = "opt/evil/of/choice", "opt/evil/of"
    yield "good-choice", 0, optional({file: ["at"], above: ["at"]})
    yield "good-choice-for-everybody", 0, optional({file: ["at"]})
    yield "choice-of-nobody", 12, optional({file: []})
    yield "choice-of-a-required-one", 12, optional({file: [0]})
    yield "choice-that-is-not-there", 12, optional({file: ["at", 99]})
    yield "choice-twice", 12, optional({file: ["at", "at"]})
    yield "choice-as-text", 12, optional({file: ["1"]})
    yield "choice-of-the-directory-alone", 12, optional({above: ["at"]})
    for name in ["all", "none", "demo"]:
        yield "choice-called-" + name, 12, optional({file: ["at"]}, name)

    def dangling(package):
        optional({file: ["at"], above: ["at"]})(package)
        package.file(prefix_of(package) + "/choice")
        entry = next(entry for entry in package.index["files"] if entry["path"] == prefix_of(package) + "/choice")
        entry["component"] = len(package.index["components"]) - 1
        entry["only_for"] = [entry["component"]]
        package.symbolic(prefix_of(package) + "/link", "choice")

    yield "choice-that-a-link-needs", 12, dangling
    yield "length-wrong", 12, text_of(lambda index, text: text.replace(b'"total_length": ', b'"total_length": 1'))
    yield "volumes", 12, set_at("volumes", [1])
    yield "blob-of-no-file", 12, lambda package: package.index["blobs"].append(package.blob(b"of nobody"))
    yield "file-of-no-blob", 12, set_at("files", 0, "blob", digest(b"nothing"))
    yield "chunks-missing", 12, set_at("blobs", 0, "chunks", [])
    yield "roles-out-of-order", 12, in_index(lambda index: index["files"].reverse())

    # Forms of the text
    for version in [0, 2, "1", None, 1.5]:
        yield "format-%s" % version, 12, set_at("format", version)
    compact = lambda index, text: json.dumps(index).encode() + b"\n"  # noqa: E731
    yield "text-compact", 12, text_of(compact)
    yield "text-other-order", 12, text_of(
        lambda index, text: json.dumps(dict(reversed(index.items())), indent=2, ensure_ascii=False).encode() + b"\n"
    )
    yield "text-without-the-last-line-feed", 12, text_of(lambda index, text: text[:-1])
    yield "text-with-one-more", 12, text_of(lambda index, text: text + b"\n")
    yield "text-key-twice", 12, text_of(lambda index, text: text.replace(b'  "format": 1,', b'  "format": 1,\n  "format": 1,'))
    yield "text-unknown-key", 12, text_of(lambda index, text: text.replace(b'  "format": 1,', b'  "format": 1,\n  "x": 1,'))
    yield "text-digest-in-capitals", 12, text_of(
        lambda index, text: text.replace(index["build"]["manifest"].encode(), index["build"]["manifest"].upper().replace("SHA", "sha").encode())
    )
    yield "text-escaped", 12, text_of(lambda index, text: text.replace(b'"linux"', b'"\\u006cinux"'))
    yield "text-half-a-character", 12, text_of(lambda index, text: text.replace(b'"linux"', b'"\\ud800"'))
    yield "text-not-utf-8", 12, text_of(lambda index, text: text.replace(b'"linux"', b'"\xff"'))
    yield "text-byte-order-mark", 12, text_of(lambda index, text: b"\xef\xbb\xbf" + text)
    yield "text-deep", 12, text_of(lambda index, text: b"[" * 100000)
    yield "text-too-long", 12, text_of(lambda index, text: text + b"\n" * (runfile.MAX_INDEX - len(text) + 1))
    yield "text-empty", 12, text_of(lambda index, text: b"")
    yield "text-exponent", 12, text_of(lambda index, text: text.replace(b'"format": 1', b'"format": 1e0'))
    yield "text-huge-number", 12, text_of(lambda index, text: text.replace(b'"format": 1', b'"format": 1e999999999'))


def damages(data):
    """What happens to files: flips, cuts and appends, the same every time."""
    chance = random.Random(SEED)
    for number in range(40):
        at = chance.randrange(len(data))
        flipped = bytearray(data)
        flipped[at] ^= 1 << chance.randrange(8)
        # What makes the ELF header unreadable, or the index another one, is refused one way or the other.
        yield "flip-%02d-at-%d" % (number, at), bytes(flipped)
    for number in range(10):
        yield "cut-%02d" % number, data[: chance.randrange(64, len(data))]
    for number, more in enumerate([b"\0", b"x", b"\0" * 512, data[-1024:], b"x" * 5000]):
        yield "append-%d" % number, data + more


def set_stub(self, stub):
    self.stub = stub
    self.index["build"]["stub"] = {"size": len(stub), "digest": digest(stub)}


Package.set_stub = set_stub


def main():
    good, directory = sys.argv[1:3]
    run = runfile.RunFile(good)
    listed = []

    def note(name, expect, path):
        verdict, why = runfile.verdict(path)
        listed.append({"name": name, "expect": expect, "file": path, "verdict": verdict, "why": why})

    for number, (name, expect, change) in enumerate(variants()):
        package = Package(run)
        package.text = None
        change(package)
        path = os.path.join(directory, "%03d.run" % number)
        text = None
        if package.text is not None:
            plain = (json.dumps(package.index, indent=2, ensure_ascii=False) + "\n").encode()
            text = package.text(package.index, plain)
        runfile.write(path, package.stub, package.index, package.documents, package.blobs, text)
        note(name, expect, path)
    for number, (name, data) in enumerate(damages(run.data)):
        path = os.path.join(directory, "d%03d.run" % number)
        with open(path, "wb") as file:
            file.write(data)
        note(name, None, path)
    print(json.dumps(listed))


if __name__ == "__main__":
    main()
