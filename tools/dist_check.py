#!/usr/bin/env python3
"""make acceptance-dist: what make dist made is what it should be. Needs root, Debian's mmdebstrap and rpm (installed when missing).

It looks into the archive; builds the same commit again in another directory, with another umask, time zone and locale, and
compares every byte; installs the Debian package into a Debian of nothing but dpkg's needs, and the RPM into a root of nothing but a shell,
lets each make, show and install a package there, and removes them: nothing is left.

    dist_check.py           all of it
    dist_check.py quick     without the second build
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import dist

ROOT = dist.ROOT
WORK = ROOT / "target/dist-check"
NAME = f"{dist.PACKAGE}-{dist.version()}-x86_64-linux"
MANIFEST = """\
[package]
name = "sample"
version = "1"
description = "The program itself"

[install]
prefix = "/opt/sample"

[[components]]
type = "external-binary"
name = "sample"
source = { type = "file", path = "/usr/bin/airgap-deploy-builder" }
install_path = "bin/sample"
"""


def say(text):
    print(f"dist-check: {text}", flush=True)


def ensure(fact, problem):
    if not fact:
        sys.exit(f"dist-check: {problem}")


def told(*words, **options):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    ensure(done.returncode == 0, f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def install(tool, package):
    if shutil.which(tool) is None:
        say(f"apt-get install {package}")
        told("apt-get", "-qq", "update")
        told("apt-get", "-qq", "install", "-y", "--no-install-recommends", package)


def check_sums(directory):
    lines = (directory / "SHA256SUMS").read_text().splitlines()
    listed = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
    there = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    ensure(set(listed) == there, f"SHA256SUMS of {directory} lists {set(listed) ^ there}, or does not")
    for name, digest in listed.items():
        ensure(hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest, f"{name} is not what SHA256SUMS says")
    return len(listed)


def check_static(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True)
    said = said.stdout + said.stderr
    ensure("statically linked" in said or "not a dynamic executable" in said, f"ldd of {program}: {said}")
    say(f"ldd {program.name}: {said.strip()}")


def check_archive():
    """The archive unpacks to one directory of nobody's files, which holds what people expect."""
    archive = dist.DIST / f"{NAME}.tar.zst"
    unpacked = WORK / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    told("zstd", "-q", "-d", "-f", archive, "-o", unpacked / "release.tar")
    with tarfile.open(unpacked / "release.tar") as tar:
        members = tar.getmembers()
        ensure(all(member.name.split("/")[0] == NAME for member in members), "there is more than one directory in the archive")
        ensure({(member.uid, member.gid, member.mode) for member in members} <= {(0, 0, 0o755), (0, 0, 0o644)}, "owners or modes")
        ensure(len({member.mtime for member in members}) == 1, "files have different times")
        ensure([member.name for member in members] == sorted((m.name for m in members), key=lambda name: Path(name)), "order")
        tar.extractall(unpacked, filter="tar")
    release = unpacked / NAME
    say(f"{len(members)} members, {check_sums(release)} files as SHA256SUMS says")
    builder = release / "bin/builder"
    check_static(builder)
    for name in [
        "README.md", "CHANGELOG.md", "LICENSE", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-of-crates.txt", "docs/manifest.md",
        "airgap-deploy.cdx.json", "manifests/AirGapDeploy.ollama.toml", "share/man/man1/builder.1", "share/man/man1/builder-check.1",
        "share/bash-completion/completions/builder", "share/zsh/site-functions/_builder",
        "share/fish/vendor_completions.d/builder.fish",
    ]:
        ensure((release / name).is_file(), f"{name} is not in the archive")
    version = told(builder, "--version")
    commit = told("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    for part in [f"builder {dist.version()}", f"commit {commit}", f"target {dist.TARGET}", "stub x86_64 sha256:"]:
        ensure(part in version, f"{part} is not in {version}")
    stubs = [line.split() for line in version.splitlines() if line.startswith("stub ")]
    say("stubs for " + " and ".join(words[1] for words in stubs))
    texts = (release / "LICENSES-of-crates.txt").read_text()
    bill = json.loads((release / "airgap-deploy.cdx.json").read_text())
    named = {component["name"] for component in bill["components"]}
    for crate in ["payload", "clap", "rustls", "ring", "liblzma-sys", "sha2", "musl", "std"]:
        ensure(crate in named and f"\n{crate} " in texts, f"{crate} is in no list")
    hashes = {found["content"] for component in bill["components"] for found in component.get("hashes", [])}
    ensure(all(words[2].removeprefix("sha256:") in hashes for words in stubs), "the bill of materials lacks a stub's digest")
    digest = hashlib.sha256(builder.read_bytes()).hexdigest()
    ensure(bill["metadata"]["component"]["hashes"][0]["content"] == digest, "the bill of materials is of another builder")
    home = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    for path in [ROOT, home, Path.home() / ".rustup"]:
        ensure(str(path).encode() not in builder.read_bytes(), f"{path} is in the builder")
    say(f"{len(bill['components'])} components in the bill of materials")


def check_reproducible():
    """The same commit, elsewhere, by somebody with other habits."""
    ensure(not told("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"), "commit first: a clone is built, too")
    second = WORK / "second"
    if not second.exists():
        told("git", "clone", "--quiet", ROOT, second)
    told("git", "-C", second, "fetch", "--quiet", "origin", "HEAD")
    told("git", "-C", second, "checkout", "--quiet", "--detach", told("git", "-C", ROOT, "rev-parse", "HEAD").strip())
    if (ROOT / "target/book").is_dir():
        shutil.copytree(ROOT / "target/book", second / "target/book", dirs_exist_ok=True)
    say(f"building again in {second.relative_to(ROOT)} (minutes)")
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(dist.epoch())}
    os.umask(0o027)
    subprocess.run([second / "tools/dist.py"], check=True, cwd=second, env=environment)
    os.umask(0o022)
    for path in sorted(dist.DIST.iterdir()):
        other = second / "target/dist" / path.name
        ensure(other.read_bytes() == path.read_bytes(), f"{path.name} is not the same when it is built in another directory")
        say(f"the same bytes in both directories: {path.name}")


def tree(root, without):
    """What stands below a root: links, files with their digests, directories."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.split("/")[0] in ("proc", "sys", "dev") or any(name.startswith(prefix) for prefix in without):
            continue
        found[name] = "directory" if path.is_dir() and not path.is_symlink() else "file"
    return found


def inside(root, *words):
    """A command in the root, which sees no process and no mount of this machine, and no network."""
    (root / "proc").mkdir(exist_ok=True)
    cage = ["unshare", "--mount", "--pid", "--net", "--fork", f"--mount-proc={root / 'proc'}", "chroot", root]
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp/home", "LC_ALL": "C"}
    return told(*cage, *words, env=clean)


def main_job(root):
    """Makes a package in the root, shows it, installs it, uses it, and takes it back."""
    builder = f"/usr/bin/{dist.INSTALLED}"
    (root / "tmp/home").mkdir(parents=True, exist_ok=True)
    (root / "tmp/m.toml").write_text(MANIFEST)
    (root / "tmp/target").mkdir()
    said = inside(root, builder, "check", "/tmp/m.toml") + inside(root, builder, "/tmp/m.toml", "--output", "/tmp/sample.run")
    ensure("wrote /tmp/sample.run" in said, said)
    ensure("Nothing was changed" in inside(root, "/tmp/sample.run", "--dry-run", "--root", "/tmp/target"), "no dry run")
    inside(root, "/tmp/sample.run", "--install", "--root", "/tmp/target")
    ensure("builder" in inside(root, "/tmp/target/opt/sample/bin/sample", "--version"), "what was installed does not run")
    inside(root, "/tmp/sample.run", "--uninstall", "--root", "/tmp/target")
    # Its hints are commands that exist here.
    failed = subprocess.run(["chroot", root, builder, "explain", "7"], capture_output=True, text=True)
    ensure(f"{dist.INSTALLED} explain lists" in failed.stderr, failed.stderr)
    shutil.rmtree(root / "tmp")
    (root / "tmp").mkdir()


def check_installed(root):
    check_static(root / "usr/bin" / dist.INSTALLED)
    share = root / "usr/share"
    for name in [
        f"man/man1/{dist.INSTALLED}.1.gz", f"man/man1/{dist.INSTALLED}-check.1.gz",
        f"bash-completion/completions/{dist.INSTALLED}", f"fish/vendor_completions.d/{dist.INSTALLED}.fish",
        "doc/airgap-deploy/README.md", "doc/airgap-deploy/docs/manifest.md", "doc/airgap-deploy/airgap-deploy.cdx.json",
    ]:
        ensure((share / name).is_file(), f"{name} is not installed")
    zsh = [path.name for path in share.glob(f"zsh/*/_{dist.INSTALLED}")]
    terms = list(share.glob("*/airgap-deploy/LICENSES-of-crates.txt")), list(share.glob("*/airgap-deploy/LICENSE-MIT"))
    ensure(zsh and all(terms), f"completions of zsh or licences are missing: {zsh} {terms}")


def fresh(name):
    root = WORK / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    return root


def check_deb():
    install("mmdebstrap", "mmdebstrap")
    install("dpkg-deb", "dpkg")
    package = dist.DIST / f"{dist.PACKAGE}_{dist.version()}_amd64.deb"
    ensure(not told("dpkg-deb", "--field", package, "Depends").strip(), "a static program depends on packages")
    base = WORK / "debian.tar"
    if not base.exists():
        say("a Debian of nothing but dpkg's needs (a minute, once)")
        told("mmdebstrap", "--quiet", "--variant=essential", "bookworm", base)
    root = fresh("deb")
    told("tar", "-xf", base, "-C", root, "--exclude=./dev/*")
    own = ["var/lib/dpkg", "var/log", "tmp", "var/cache"]
    shutil.rmtree(root / "tmp", ignore_errors=True)
    (root / "tmp").mkdir()
    before = tree(root, own)
    shutil.copy(package, root / "package.deb")
    inside(root, "dpkg", "--install", "/package.deb")
    (root / "package.deb").unlink()
    check_installed(root)
    main_job(root)
    inside(root, "dpkg", "--purge", dist.PACKAGE)
    left = {name for name in tree(root, own).items() if name not in before.items()}
    ensure(not left, f"dpkg --purge leaves {left}")
    say(f"{package.name}: installed, used and removed; nothing is left")


def check_rpm():
    install("rpm", "rpm")
    install("busybox", "busybox-static")
    package = dist.DIST / f"{dist.PACKAGE}-{dist.version()}-1.x86_64.rpm"
    needs = [line for line in told("rpm", "-qpR", package).splitlines() if not line.startswith("rpmlib(")]
    # For the line that removes its directories.
    ensure(needs == ["/bin/sh"], f"a static program needs {needs}")
    root = fresh("rpm")
    own = ["var/lib/rpm", "var/tmp", "usr/lib/sysimage", "tmp"]
    for name in dist.SHARED:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "bin"):
        (root / name).mkdir()
    # The shell and the one tool that removing it needs; every system with rpm has them.
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for name in ("sh", "rmdir"):
        (root / "bin" / name).symlink_to("busybox")
    rpm = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm"]
    told(*rpm, "--initdb")
    before = tree(root, own)
    # The shell of this root is in no database.
    told(*rpm, "--install", "--nodeps", package)
    told(*rpm, "--verify", "--nodeps", dist.PACKAGE)
    check_installed(root)
    main_job(root)
    told(*rpm, "--erase", dist.PACKAGE)
    left = {name for name in tree(root, own).items() if name not in before.items()}
    ensure(not left, f"rpm --erase leaves {left}")
    say(f"{package.name}: installed, used and removed; nothing is left")


def main(quick):
    ensure(os.getuid() == 0, "it installs packages into roots of their own: run it as root")
    WORK.mkdir(parents=True, exist_ok=True)
    say(f"{check_sums(dist.DIST)} files as SHA256SUMS says")
    check_archive()
    check_deb()
    check_rpm()
    if not quick:
        check_reproducible()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main(quick=False)
        case ["quick"]:
            main(quick=True)
        case _:
            sys.exit(__doc__)
