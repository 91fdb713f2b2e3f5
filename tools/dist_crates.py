"""What the builder and its stub are linked from: which crates, under which terms, in which words; for make dist.

cargo itself says which crates are linked (`cargo tree`), where they lie and what they state (`cargo metadata`). cargo-about would
be one more program to compile for minutes, and cargo-cyclonedx writes the path of the workspace into its references, so that no
two directories give the same document; the rules here are those by which builder/build/crates.rs lists the stub's crates.
"""

import hashlib
import json
import subprocess
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path

TERMS = ("LICEN", "COPYING", "COPYRIGHT", "NOTICE")
# Longer than any licence, in bytes.
LONGEST = 128 << 10
# Linked into every static program beside the crates.
BESIDE = [
    ("std", "MIT OR Apache-2.0", "Rust's standard library"),
    ("musl", "MIT", "the C library"),
]


def told(*words, cwd):
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True).stdout


def linked(root, target):
    """Every crate that is linked into the builder or the stub: what it states, where it lies, what it uses."""
    names = set()
    for package in ("builder", "stub"):
        words = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro", "--target", target]
        lines = told(*words, "--prefix", "none", "--format", "{p}", cwd=root).splitlines()
        names.update(tuple(line.split()[:2]) for line in lines if line)
    metadata = json.loads(told("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target, cwd=root))
    lock = tomllib.loads((root / "Cargo.lock").read_text())["package"]
    checksums = {(found["name"], found["version"]): found.get("checksum") for found in lock}
    ids = {found["id"]: (found["name"], "v" + found["version"]) for found in metadata["packages"]}
    uses = {ids[node["id"]]: sorted(ids[used["pkg"]] for used in node["deps"]) for node in metadata["resolve"]["nodes"]}
    crates = []
    for found in metadata["packages"]:
        key = (found["name"], "v" + found["version"])
        if key in names:
            crates.append({
                "key": key,
                "name": found["name"],
                "version": found["version"],
                # Some still write the older form of an expression.
                "license": (found["license"] or "").replace(" / ", "/").replace("/", " OR "),
                "directory": Path(found["manifest_path"]).parent,
                "sha256": checksums.get((found["name"], found["version"])),
                "uses": [used for used in uses.get(key, []) if used in names],
            })
    missing = names - {crate["key"] for crate in crates}
    unstated = [crate["name"] for crate in crates if not crate["license"]]
    if missing or unstated:
        raise SystemExit(f"dist: nothing is known of {sorted(missing)}, and no licence of {unstated}")
    return sorted(crates, key=lambda crate: crate["key"])


def licences(crates):
    """The list for people, then every licence text once, with the crates that it is for."""
    lines = ["The builder, and the installer in every package that it makes, are linked from these:", ""]
    lines += [f"{crate['name']} {crate['version']}: {crate['license']}" for crate in crates]
    lines += [f"{name} ({what}): {license}" for name, license, what in BESIDE]
    texts = {}
    for crate in crates:
        for path in sorted(crate["directory"].iterdir()):
            if path.is_file() and path.name.upper().startswith(TERMS) and path.stat().st_size <= LONGEST:
                text = path.read_text(errors="replace").replace("\r\n", "\n").rstrip()
                # The same words in other lines are the same text.
                texts.setdefault(" ".join(text.split()), (text, set()))[1].add(crate["name"])
    for _, (text, names) in sorted(texts.items()):
        lines += ["", "=" * 72, ", ".join(sorted(names)), "", text]
    return "\n".join(lines) + "\n"


def reference(key):
    return f"crate-{key[0]}-{key[1].removeprefix('v')}"


def component(crate):
    value = {
        "type": "library",
        "bom-ref": reference(crate["key"]),
        "name": crate["name"],
        "version": crate["version"],
        "licenses": [{"expression": crate["license"]}],
    }
    if crate["sha256"]:
        value["purl"] = f"pkg:cargo/{crate['name']}@{crate['version']}"
        value["hashes"] = [{"alg": "SHA-256", "content": crate["sha256"]}]
    return value


def stubs(builder):
    """The digests of the stubs that the builder says it carries."""
    lines = told(builder, "--version", cwd=".").splitlines()
    return {line.split()[1]: line.split()[2].removeprefix("sha256:") for line in lines if line.startswith("stub ")}


def bill(crates, builder, version, time):
    """The bill of materials (CycloneDX 1.6) of the release."""
    terms = [{"expression": "MIT OR Apache-2.0"}]
    hashed = lambda digest: [{"alg": "SHA-256", "content": digest}]
    components, carried = [], []
    for arch, digest in sorted(stubs(builder).items()):
        carried.append(f"stub-{arch}")
        what = f"the installer at the start of packages for {arch}"
        components.append({"type": "application", "bom-ref": f"stub-{arch}", "name": f"airgap-deploy installer for {arch}",
                           "version": version, "description": what, "hashes": hashed(digest), "licenses": terms})
    for name, license, what in BESIDE:
        components.append({"type": "library", "bom-ref": name, "name": name, "description": what,
                           "licenses": [{"license": {"id": license}} if " " not in license else {"expression": license}]})
    components += [component(crate) for crate in crates]
    edges = {reference(crate["key"]): [reference(used) for used in crate["uses"]] for crate in crates}
    top = {crate["name"]: reference(crate["key"]) for crate in crates}
    edges["release"] = [top["builder"], *carried, *(name for name, _, _ in BESIDE)]
    edges |= {name: [top["stub"]] for name in carried}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": "release",
                "name": "airgap-deploy builder",
                "version": version,
                "hashes": hashed(hashlib.sha256(builder.read_bytes()).hexdigest()),
                "licenses": terms,
            },
        },
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": used} for name, used in sorted(edges.items())],
    }
    # The digest of everything else, as a UUID of version 8 (RFC 9562).
    digest = bytearray(hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=bytes(digest))}"
    return json.dumps(document, indent=2) + "\n"
