#!/usr/bin/env python3
"""make dist: what people download, in target/dist: airgap-deploy-VERSION-x86_64-linux.tar.zst, a Debian package, an RPM, and
SHA256SUMS. The same commit gives the same bytes, in whatever directory it is built.

    dist.py                 all of it
    dist.py tar DIR FILE    a directory as .tar.zst, the same bytes for the same content

From the environment: SOURCE_DATE_EPOCH (the time that files get; else the commit's), AIRGAP_DEPLOY_COMMIT (for sources without
git). What the crates say of themselves is read in dist_crates.py; dist_check.py looks at the result.
"""

import gzip
import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import dist_crates

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-musl"
DIST = ROOT / "target/dist"
# `builder` would be a strange name among all programs of a machine: packages install it under this one.
INSTALLED = "airgap-deploy-builder"
PACKAGE = "airgap-deploy"
# Directories that packages of a distribution own; all others belong to the RPM, and go with it.
SHARED = {"usr", "usr/bin", "usr/share", "usr/share/doc", "usr/share/man", "usr/share/man/man1", "usr/share/licenses"}
DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT"]


def say(text):
    print(f"dist: {text}", flush=True)


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, **options)


def told(*words, **options):
    return run(*words, capture_output=True, text=True, **options).stdout.strip()


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def epoch():
    """Seconds since 1970 that every file gets."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return int(given or told("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        sys.exit("dist: there is no git here: say when this was made, SOURCE_DATE_EPOCH=1795668413 make dist")


def need(tool, package):
    if shutil.which(tool) is None:
        sys.exit(f"dist: {tool} is missing; it is in Debian's package {package}")


def need_cargo(tool):
    if shutil.which(tool) is None:
        say(f"cargo install --locked {tool}")
        run("cargo", "install", "--quiet", "--locked", tool)


def toolchain():
    """The compiler for musl: that of rustup, else the one with which tools/toolchain.sh made a standard library."""
    libraries = Path(told("rustc", "--print", "target-libdir", "--target", TARGET))
    if any(libraries.glob("libstd-*")):
        return {}, []
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airgap-deploy"
    sysroot = Path(os.environ.get("AIRGAP_DEPLOY_MUSL_SYSROOT") or cache / "musl-sysroot-x86_64")
    if any((sysroot / "lib/rustlib" / TARGET / "lib").glob("libstd-*")):
        return {"RUSTC": "/usr/bin/rustc"}, ["--sysroot", str(sysroot)]
    sys.exit("dist: there is no musl target here, so the builder would not be static: make toolchain says what is missing")


def compile_builder():
    """The builder as it ships. No path of this machine stays in it."""
    compiler, flags = toolchain()
    home = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    names = [(ROOT, "/airgap-deploy"), (home, "/cargo")]
    flags += [f"--remap-path-prefix={path}={name}" for path, name in names]
    of_c = " ".join(f"-ffile-prefix-map={path}={name}" for path, name in names)
    environment = {**os.environ, **compiler, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags), "SOURCE_DATE_EPOCH": str(epoch())}
    for target in (TARGET, TARGET.replace("x86_64", "aarch64")):
        environment["CFLAGS_" + target.replace("-", "_")] = of_c
    for unwanted in ("RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "AIRGAP_DEPLOY_STUB", "AIRGAP_DEPLOY_STUB_AARCH64"):
        environment.pop(unwanted, None)
    words = ["cargo", "build", "--release", "--locked", "--package", "builder", "--target", TARGET]
    run(*words, "--target-dir", ROOT / "target", cwd=ROOT, env=environment)
    builder = ROOT / "target" / TARGET / "release/builder"
    if interpreter(builder):
        sys.exit(f"dist: {builder} is not static: it asks for a loader")
    return builder


def interpreter(program):
    """Whether an ELF file of 64 bits asks for a loader (PT_INTERP)."""
    data = program.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return any(struct.unpack_from("<I", data, offset + number * size)[0] == 3 for number in range(count))


def write(path, data, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(mode)


def copy_tree(source, destination):
    for path in sorted(source.rglob("*")):
        if path.is_file():
            write(destination / path.relative_to(source), path.read_bytes())


def place_pages(program, share, zsh, compressed):
    """Manual pages and completions, as the program that is called so prints them."""
    pages = DIST / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir()
    run(program, "man", pages, stdout=subprocess.DEVNULL)
    for page in sorted(pages.iterdir()):
        data = page.read_bytes()
        if compressed:
            write(share / f"man/man1/{page.name}.gz", gzip.compress(data, 9, mtime=0))
        else:
            write(share / f"man/man1/{page.name}", data)
    shutil.rmtree(pages)
    name = program.name
    for shell, file in [
        ("bash", f"bash-completion/completions/{name}"),
        ("zsh", f"zsh/{zsh}/_{name}"),
        ("fish", f"fish/vendor_completions.d/{name}.fish"),
    ]:
        write(share / file, told(program, "completions", shell) + "\n")


def place_documents(directory, licences, bill):
    """What is read, in the tar and in the packages alike."""
    for name in DOCUMENTS:
        write(directory / name, (ROOT / name).read_bytes())
    write(directory / "LICENSES-of-crates.txt", licences)
    write(directory / f"{PACKAGE}.cdx.json", bill)
    copy_tree(ROOT / "docs", directory / "docs")
    copy_tree(ROOT / "manifests", directory / "manifests")
    book = ROOT / "target/book"
    if (book / "index.html").is_file():
        copy_tree(book, directory / "book")


def sums(directory):
    """SHA256SUMS of all that lies in a directory and below it, by path."""
    lines = []
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS":
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n")
    write(directory / "SHA256SUMS", "".join(lines))


def tar(directory, out, time):
    """Paths in order, nobody's files, one time, two modes: nothing of this machine."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in [directory, *sorted(directory.rglob("*"))]:
            member = tarfile.TarInfo(str(path.relative_to(directory.parent)))
            member.mtime = time
            member.uname = member.gname = "root"
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                data = path.read_bytes()
                member.size, member.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
                archive.addfile(member, io.BytesIO(data))
    # The same frames for any number of threads.
    run("zstd", "-q", "-19", "-T0", "-f", "-o", out, input=memory.getvalue())


def deb(time):
    words = ["cargo", "deb", "--quiet", "--no-build", "--no-strip", "--package", "builder", "--target", TARGET]
    out = DIST / f"{PACKAGE}_{version()}_amd64.deb"
    run(*words, "--output", out, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(time)})


def rpm(root, time):
    """The list of files is made here. An RPM leaves directories behind that it does not name, and cargo-generate-rpm 0.21 fails at
    those that are named: a line of shell removes them afterwards, as far as they are empty."""
    files, directories = [], []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir():
            directories += [name] if name not in SHARED else []
        else:
            mode = "755" if path.stat().st_mode & 0o100 else "644"
            doc = ", doc = true" if name.startswith(("usr/share/doc/", "usr/share/man/")) else ""
            files.append(f'{{ source = "{path.relative_to(ROOT)}", dest = "/{name}", mode = "{mode}"{doc} }}')
    emptied = " ".join(f"/{name}" for name in reversed(directories))
    assets = DIST / "assets.toml"
    lists = "assets = [\n" + "".join(f"    {line},\n" for line in files) + "]\n"
    write(assets, f'{lists}post_uninstall_script = "rmdir {emptied} 2>&- || :"\n')
    out = DIST / f"{PACKAGE}-{version()}-1.x86_64.rpm"
    words = ["cargo", "generate-rpm", "--package", "builder", "--target", TARGET, "--metadata-overwrite", assets]
    run(*words, "--output", out, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(time)})
    assets.unlink()


def dist():
    need("zstd", "zstd")
    need_cargo("cargo-deb")
    need_cargo("cargo-generate-rpm")
    time = epoch()
    say("the builder, static, with its stubs (minutes)")
    builder = compile_builder()
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    crates = dist_crates.linked(ROOT, TARGET)
    licences, bill = dist_crates.licences(crates), dist_crates.bill(crates, builder, version(), time)
    release = DIST / f"{PACKAGE}-{version()}-x86_64-linux"
    write(release / "bin/builder", builder.read_bytes(), 0o755)
    place_pages(release / "bin/builder", release / "share", "site-functions", compressed=False)
    place_documents(release, licences, bill)
    sums(release)
    # Debian and Fedora look for completions of zsh in two places, and for licences, too.
    for kind, zsh, terms in [("deb", "vendor-completions", "doc"), ("rpm", "site-functions", "licenses")]:
        usr = DIST / kind / "usr"
        write(usr / "bin" / INSTALLED, builder.read_bytes(), 0o755)
        place_pages(usr / "bin" / INSTALLED, usr / "share", zsh, compressed=True)
        documents = usr / "share/doc" / PACKAGE
        place_documents(documents, licences, bill)
        if terms != "doc":
            for path in sorted(documents.glob("LICENSE*")):
                write(usr / "share" / terms / PACKAGE / path.name, path.read_bytes())
                path.unlink()
    for path in DIST.rglob("*"):
        os.utime(path, (time, time))
    tar(release, DIST / f"{release.name}.tar.zst", time)
    deb(time)
    rpm(DIST / "rpm", time)
    for directory in [release, DIST / "deb", DIST / "rpm"]:
        shutil.rmtree(directory)
    sums(DIST)
    if not (ROOT / "target/book/index.html").is_file():
        say("without the book: make docs builds it, and make dist takes it along then")
    print((DIST / "SHA256SUMS").read_text(), end="")
    say(f"in {DIST.relative_to(ROOT)}/")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            dist()
        case ["tar", directory, file]:
            tar(Path(directory), file, epoch())
        case _:
            sys.exit(__doc__)
