#!/usr/bin/env python3
"""A second reader and writer of `.run` files, made from docs/format.md alone, with Python's standard library.

`runfile.py verify FILE` ends with 0 (good), 10 (damaged) or 12 (not readable), and says why;
`runfile.py extract FILE DIRECTORY` writes the files of a good one. The product's own reader is the crate `payload`.
"""

import base64
import hashlib
import json
import lzma
import os
import re
import struct
import sys
import unicodedata

ALIGNMENT = 4096
BLOCK = 512
CHUNK = 4 << 20
MAX_INDEX = 8 << 20
MAX_SIZE = 1 << 50
MAX_USTAR_SIZE = 0o77777777777
DECODER_MEMORY = 48 << 20


class Damaged(Exception):
    """Bytes are not the ones that were packed."""


class Unreadable(Exception):
    """The index is of another format, or states what no package may state."""


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# The archive ---------------------------------------------------------------------------------------------------------


def elf_length(data):
    """The end of the section header table; nothing of the ELF file lies behind it."""
    if data[:4] != b"\x7fELF" or data[4:5] != b"\x02":
        raise Damaged("no 64-bit ELF program at the start")
    if data[5:6] != b"\x01" or len(data) < 64:
        raise Damaged("the ELF file is not little-endian, or is cut off")
    (table,) = struct.unpack_from("<Q", data, 40)
    entry, count = struct.unpack_from("<HH", data, 58)
    end = table + entry * count
    if table == 0 or count == 0 or entry != 64 or end > len(data):
        raise Damaged("the section header table is missing, or points past the end")
    for at in range(table, end, entry):
        (kind,) = struct.unpack_from("<I", data, at + 4)
        offset, size = struct.unpack_from("<QQ", data, at + 24)
        if kind != 8 and offset + size > end:
            raise Damaged("a section reaches behind the section header table")
    return end


def ustar(name, size, kind):
    header = bytearray(BLOCK)
    header[0 : len(name)] = name
    header[100:108] = b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"
    header[124:136] = b"%011o\0" % size
    header[136:148] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"%07o\0" % sum(header)
    return bytes(header)


def record(key, value):
    length = len(key) + len(value) + 3
    total = length + 1
    while total != length + len(str(total)):
        total = length + len(str(total))
    return "%d %s=%s\n" % (total, key, value)


def member_header(name, size, offset, aligned):
    """What stands before the content of a member that begins at `offset` of the file."""
    plain = ustar(name.encode(), min(size, MAX_USTAR_SIZE), b"0")
    records = record("size", str(size)) if size > MAX_USTAR_SIZE else ""
    if not records and not aligned:
        return plain
    if aligned:
        before = offset + 2 * BLOCK
        missing = -before % ALIGNMENT or ALIGNMENT
        left = missing - len(records)
        frame = len(str(left)) + len(" comment=\n")
        records += "%d comment=%s\n" % (left, " " * (left - frame))
    body = records.encode()
    return ustar(b"pax", len(body), b"x") + body + b"\0" * (-len(body) % BLOCK) + plain


def blob_name(blob):
    return "blobs/sha256-" + blob["digest"][7:] + {"raw": "", "xz": ".xz"}[blob["encoding"]]


SIGNATURE = "index.json.minisig"
UNTRUSTED = "untrusted comment: signature of index.json by the builder of airgap-deploy"


def trusted_comment(index, text):
    package = index["package"]
    return "airgap-deploy %s %s index sha256:%s" % (package["name"], package["version"], hashlib.sha256(text).hexdigest())


def signed_comment(signature):
    """The trusted comment of a signature in its one form; who signed is nothing that this reader could tell."""
    try:
        lines = signature.decode("utf-8").split("\n")
        good = len(lines) == 5 and lines[0] == UNTRUSTED and lines[2].startswith("trusted comment: ") and not lines[4]
        sizes = [len(base64.b64decode(line, validate=True)) for line in lines[1:4:2]] if good else []
    except ValueError:
        sizes = []
    if sizes != [74, 64]:
        raise Damaged("the signature is none of minisign")
    return lines[2][len("trusted comment: ") :]


def layout(index, text, signature=None):
    """Every region of the file: its offset, its length, and either its bytes or what it is."""
    regions, at = [], 0

    def put(length, what):
        nonlocal at
        regions.append((at, length, what))
        at += length

    def member(name, size, what, aligned=False):
        header = member_header(name, size, at, aligned)
        put(len(header), header)
        put(size, what)
        put(-at % BLOCK, b"\0" * (-at % BLOCK))

    put(index["build"]["stub"]["size"], ("stub", None))
    put(-at % ALIGNMENT, b"\0" * (-at % ALIGNMENT))
    member("index.json", len(text), text)
    line = (hashlib.sha256(text).hexdigest() + "  index.json\n").encode()
    member("index.json.sha256", len(line), line)
    if signature is not None:
        member(SIGNATURE, len(signature), signature)
    for document in index["documents"]:
        member(document["name"], document["size"], ("document", document))
    for blob in index["blobs"]:
        member(blob_name(blob), blob["stored_size"], ("blob", blob), aligned=True)
    put(2 * BLOCK, b"\0" * (2 * BLOCK))
    return regions, at


# The index -----------------------------------------------------------------------------------------------------------


def need(condition, why):
    if not condition:
        raise Unreadable(why)


def is_seen(text):
    """Whether every character can be seen: the list is in payload/src/value/text.rs."""
    hidden = [
        (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891),
        (0x8E2, 0x8E2), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
        (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    ]  # fmt: skip
    for c in text:
        white = c.isspace() or unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp")
        if c != " " and (white or any(low <= ord(c) <= high for low, high in hidden)):
            return False
    return True


def keys(value, names, optional=()):
    need(isinstance(value, dict), "an object is missing")
    given = list(value)
    need([name for name in given if name not in optional] == [n for n in names if n not in optional], "wrong keys: %s" % given)
    need(given == [name for name in names if name in value], "keys out of order: %s" % given)


def is_text(value, longest=4096):
    need(isinstance(value, str) and len(value.encode()) <= longest, "a text is missing or too long")
    return value


def is_number(value):
    need(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64, "a size is missing")
    return value


def is_digest(value):
    need(isinstance(value, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is not None, "%r is no digest" % value)


def is_path(value):
    need(isinstance(value, str) and 0 < len(value.encode()) <= 4000, "%r is no path" % value)
    parts = value.split("/")
    good = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    need(good and len(parts) <= 64 and not any(unicodedata.category(c) == "Cc" for c in value), "%r is no path" % value)


def is_mode(value):
    need(isinstance(value, str) and re.fullmatch(r"0[0-7]{3}", value) is not None, "%r is no mode" % value)


def is_account(value):
    need(isinstance(value, str) and re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", value) is not None, "%r is no account" % value)


def is_glibc(value):
    good = isinstance(value, str) and re.fullmatch(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", value) is not None
    need(value is None or good, "%r is no version of glibc" % value)


def is_choice(entry):
    if "only_for" in entry:
        need(isinstance(entry["only_for"], list) and entry["only_for"], "only_for without a component")
        for position in entry["only_for"]:
            is_number(position)


def items(value, names, optional=()):
    need(isinstance(value, list), "a list is missing")
    for item in value:
        keys(item, names, optional)
    return value


TOP = ["format", "package", "target", "build", "install", "components", "directories", "files", "links", "units"]
TOP += ["models", "documents", "blobs", "total_length", "volumes"]
ROLES = ["program", "model-blob", "model-manifest", "config", "unit"]
KINDS = ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"]
UNITS = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "usr/local/lib/systemd/system"]


def parse(text):
    try:
        probe = json.loads(text.decode("utf-8"))
        version = probe.get("format") if isinstance(probe, dict) else None
    except (ValueError, RecursionError) as error:
        raise Unreadable("the index is no JSON: %s" % error) from None
    need(version == 1 and isinstance(version, int) and not isinstance(version, bool), "format version %r" % version)
    try:
        forms(probe)
        written = json.dumps(probe, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError as error:
        raise Unreadable("half a character: %s" % error) from None
    need(written == text, "the index is not written in its one form")
    return probe


def forms(index):
    """The form of every value by itself."""
    keys(index, TOP)
    package, target, build, install = (index[name] for name in ("package", "target", "build", "install"))
    keys(package, ["name", "version", "description"])
    need(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", is_text(package["name"])) is not None, "the package's name")
    is_text(package["version"])
    is_text(package["description"], 1 << 30)
    keys(target, ["os", "arch", "glibc"])
    need(target["os"] == "linux" and target["arch"] in ("x86_64", "aarch64"), "the target")
    is_glibc(target["glibc"])
    keys(build, ["builder_version", "manifest", "stub"])
    is_text(build["builder_version"])
    is_digest(build["manifest"])
    keys(build["stub"], ["size", "digest"])
    is_number(build["stub"]["size"])
    is_digest(build["stub"]["digest"])
    keys(install, ["prefix", "user", "group", "command"], ["command"])
    is_path(install["prefix"])
    if "command" in install:
        is_path(install["command"])
    need((install["user"] is None) == (install["group"] is None), "a user without a group, or the reverse")
    for name in (install["user"], install["group"]):
        if name is not None:
            is_account(name)
    for component in items(index["components"], ["name", "type", "required", "sources"]):
        is_text(component["name"])
        need(component["type"] in ("external-binary", "model-file", "config-file"), "a component's type")
        need(isinstance(component["required"], bool), "required")
        for source in items(component["sources"], ["location", "size", "digest"]):
            is_text(source["location"], 1 << 30)
            is_number(source["size"])
            is_digest(source["digest"])
    for entry in items(index["directories"], ["path", "mode", "owner", "group", "only_for"], ("only_for",)):
        is_path(entry["path"])
        is_choice(entry)
        is_mode(entry["mode"])
        is_account(entry["owner"])
        is_account(entry["group"])
    names = ["path", "blob", "mode", "owner", "group", "role", "component", "only_for", "elf"]
    for entry in items(index["files"], names, ("only_for", "elf")):
        is_path(entry["path"])
        is_choice(entry)
        is_digest(entry["blob"])
        is_mode(entry["mode"])
        is_account(entry["owner"])
        is_account(entry["group"])
        need(entry["role"] in ROLES, "a role")
        is_number(entry["component"])
        if "elf" in entry:
            keys(entry["elf"], ["machine", "glibc"])
            is_text(entry["elf"]["machine"])
            is_glibc(entry["elf"]["glibc"])
    names = ["path", "hard", "symbolic", "owner", "group", "only_for"]
    for link in items(index["links"], names, ("hard", "symbolic", "only_for")):
        is_path(link["path"])
        is_choice(link)
        need(("hard" in link) != ("symbolic" in link), "a link is hard or symbolic")
        if "hard" in link:
            is_path(link["hard"])
        else:
            is_text(link["symbolic"], 1 << 30)
        is_account(link["owner"])
        is_account(link["group"])
    for unit in items(index["units"], ["name", "path", "drop_in"]):
        is_text(unit["name"])
        is_path(unit["path"])
        if unit["drop_in"] is not None:
            is_path(unit["drop_in"])
    for model in items(index["models"], ["name", "manifest", "memory"]):
        is_text(model["name"])
        is_path(model["manifest"])
        if model["memory"] is not None:
            is_number(model["memory"])
    for document in items(index["documents"], ["name", "size", "digest"]):
        is_path(document["name"])
        is_number(document["size"])
        is_digest(document["digest"])
    for blob in items(index["blobs"], ["digest", "size", "encoding", "stored_size", "chunks"]):
        is_digest(blob["digest"])
        is_number(blob["size"])
        need(blob["encoding"] in ("raw", "xz"), "an encoding")
        is_number(blob["stored_size"])
        need(isinstance(blob["chunks"], list), "chunks")
        for chunk in blob["chunks"]:
            is_digest(chunk)
    is_number(index["total_length"])
    need(index["volumes"] == [], "volumes")


def check(index):
    """What a reader must refuse, in the order of the document."""
    texts(index)
    entries = paths(index)
    places(index)
    contents(index)
    links(index, entries)
    units(index)
    optional(index)


def texts(index):
    description = index["package"]["description"]
    controls = any(unicodedata.category(c) == "Cc" for c in description)
    need(len(description.encode()) <= 4096 and not controls, "the description")
    names = [index["package"]["version"], index["build"]["builder_version"]]
    names += [component["name"] for component in index["components"]] + [model["name"] for model in index["models"]]
    names += [entry["elf"]["machine"] for entry in index["files"] if "elf" in entry]
    for name in names:
        need(0 < len(name.encode()) <= 256 and is_seen(name), "%r is empty, too long, or cannot be seen" % name)
    for component in index["components"]:
        for source in component["sources"]:
            need(len(source["location"].encode()) <= 4096 and is_seen(source["location"]), "a source's location")


def paths(index):
    listed = [(entry["path"], "directory") for entry in index["directories"]]
    listed += [(entry["path"], "file") for entry in index["files"]]
    listed += [(link["path"], "hard" if "hard" in link else "symbolic") for link in index["links"]]
    need(len(listed) <= 10000, "more than 10,000 entries")
    entries = {}
    for path, kind in listed:
        need(is_seen(path), "%r cannot be seen" % path)
        parent = path.rpartition("/")[0]
        need(not parent or entries.get(parent) == "directory", "%s is not in a directory listed before it" % path)
        need(path not in entries, "%s is listed twice" % path)
        entries[path] = kind
    return entries


def lists():
    """The lists of whole names, which the document leaves to payload/src/format/index/check/places.rs."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../../payload/src/format/index/check/places.rs"), encoding="utf-8") as file:
        text = file.read()
    found = {name: re.findall(r'"([^"]+)"', body) for name, body in re.findall(r"const (\w+): &\[&str\] =\s*&\[(.*?)\];", text, re.S)}
    found["INSTALLERS"] = [
        "etc/airgap-deploy", "usr/local/sbin/airgap-deploy", "var/lib/airgap-deploy", "var/log/airgap-deploy",
    ]  # fmt: skip
    return found


PLACES = lists()


def is_below(path, names):
    return any(path == name or path.startswith(name + "/") for name in names)


def own_command(index, directories):
    """Where the installer becomes a command: not where something of the package is, nor where its service may write."""
    command = index["install"].get("command")
    if command is None:
        return
    if command != "usr/local/sbin/airgap-deploy":
        parent, _, name = command.rpartition("/")
        own = any(part.startswith((".airgap-deploy.", ".airgap-deploy-state.")) or ".airgap-deploy-backup" in part for part in command.split("/"))
        refused = PLACES["NEVER"] + PLACES["INSTALLERS"] + PLACES["ACCOUNTS_AND_BOOT"]
        need(not own and not is_below(command, refused), "no place for a command")
        need(parent not in PLACES["PROGRAMS"] or name not in PLACES["SYSTEM_PROGRAMS"], "the command is the system's")
        need(command not in PLACES["SHARED"] and parent, "the command is a directory on every machine")
    taken = {entry["path"] for entry in index["files"] + index["links"]}
    need(not is_below(command, taken), "the command is below a file")
    need(not any(is_below(path, [command]) for path in taken | directories), "the command is in the way")
    service = [entry["path"] for entry in index["directories"] if entry["owner"] != "root"]
    need(not is_below(command, service), "the command is the service's")


def places(index):
    prefix, user, group = index["install"]["prefix"], index["install"]["user"], index["install"]["group"]
    need(prefix not in PLACES["SHARED"] and not is_below(prefix, PLACES["NOT_FOR_PREFIXES"] + PLACES["NEVER"]), "the prefix")
    need(user != "root" and group not in PLACES["PRIVILEGED_GROUPS"], "the service's account")
    directories = {entry["path"] for entry in index["directories"]}
    own_command(index, directories)
    for entry in index["directories"] + index["files"] + index["links"]:
        path = entry["path"]
        need(not is_below(path, PLACES["NEVER"]), "%s is no place for a package" % path)
        own = any(part.startswith((".airgap-deploy.", ".airgap-deploy-state.")) or ".airgap-deploy-backup" in part for part in path.split("/"))
        need(not own and not is_below(path, PLACES["INSTALLERS"]), "%s is the installer's" % path)
        need(not is_below(path, PLACES["ACCOUNTS_AND_BOOT"]), "%s decides who can become root" % path)
        if path not in directories:
            parent, _, name = path.rpartition("/")
            need(parent not in PLACES["PROGRAMS"] or name not in PLACES["SYSTEM_PROGRAMS"], "%s is the system's" % path)
            need(path not in PLACES["SHARED"] and parent, "%s is a directory on every machine" % path)
        if "mode" in entry:
            need(int(entry["mode"], 8) & 0o002 == 0, "%s could be changed by anybody" % path)


def contents(index):
    blobs, total = {}, 0
    for blob in index["blobs"]:
        need(blob["digest"] not in blobs, "a blob is listed twice")
        blobs[blob["digest"]] = blob
        need(blob["size"] <= MAX_SIZE and blob["stored_size"] <= MAX_SIZE, "a blob is impossibly large")
        need(len(blob["chunks"]) == -(-blob["stored_size"] // CHUNK), "a wrong number of chunks")
        total += blob["size"]
        if blob["encoding"] == "raw":
            need(blob["size"] == blob["stored_size"], "a raw blob with two sizes")
            if len(blob["chunks"]) < 2:
                only = blob["chunks"][0] if blob["chunks"] else digest(b"")
                need(only == blob["digest"], "a raw blob whose only chunk is another")
    need(total <= MAX_SIZE, "the blobs are impossibly large")
    used = set()
    for entry in index["files"]:
        need(entry["blob"] in blobs, "%s has no content" % entry["path"])
        need(entry["component"] < len(index["components"]), "a component that does not exist")
        used.add(entry["blob"])
    need(used == set(blobs), "a blob that belongs to no file")
    roles = [ROLES.index(entry["role"]) for entry in index["files"]]
    need(roles == sorted(roles), "files out of order")
    documents = index["documents"]
    first = documents[0] if documents else {"name": None, "digest": None}
    need(first["name"] == "manifest.toml" and first["digest"] == index["build"]["manifest"], "the first document")
    names = [document["name"] for document in documents]
    need(len(set(names)) == len(names), "a document twice")
    for document in documents:
        name = document["name"]
        plain = re.fullmatch(r"[A-Za-z0-9._+/-]{1,100}", name) is not None
        need(plain and not name.startswith(("index.json", "blobs")), "the document's name %r" % name)
        need(document["size"] <= 4 << 20, "a document is too large")


def links(index, entries):
    prefix = index["install"]["prefix"]
    owners = {entry["path"]: (entry["owner"], entry["group"]) for entry in index["files"]}
    leads_to = {}
    for link in index["links"]:
        path = link["path"]
        if "hard" in link:
            need(owners.get(link["hard"]) == (link["owner"], link["group"]), "hard link %s" % path)
            continue
        parts = link["symbolic"].split("/")
        need(all(part not in ("", ".") for part in parts), "link %s is not normalised" % path)
        ups = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
        need(".." not in parts[ups:], "link %s has .. after a name" % path)
        above = path.split("/")[:-1]
        need(ups <= len(above), "link %s leads out" % path)
        to = "/".join(above[: len(above) - ups] + parts[ups:])
        inside = is_below(to, [prefix]) and is_below(path, [prefix])
        need(inside and to in entries, "link %s leads to %r" % (path, to))
        leads_to[path] = to
    for start in leads_to:
        at = start
        for _ in range(min(len(leads_to), 8)):
            at = leads_to.get(at, at)
        need(at not in leads_to, "link %s leads in a circle, or over too many links" % start)


def units(index):
    roles = {entry["path"]: entry["role"] for entry in index["files"]}
    for unit in index["units"]:
        name, path, drop_in = unit["name"], unit["path"], unit["drop_in"]
        stem, _, kind = name.rpartition(".")
        plain = re.fullmatch(r"[A-Za-z0-9:_.@-]{1,255}", name) is not None
        need(plain and stem and kind in KINDS and name[0] not in "-.", "the unit's name %r" % name)
        parent, _, last = path.rpartition("/")
        need(parent in UNITS and last == name and roles.get(path) == "unit", "unit %s at %s" % (name, path))
        if drop_in is not None:
            parent, _, last = drop_in.rpartition("/")
            beside = any(parent == "%s/%s.d" % (directory, name) for directory in UNITS)
            good = beside and last.endswith(".conf") and last != ".conf"
            need(good and roles.get(drop_in) == "unit", "the drop-in of %s" % name)
    for model in index["models"]:
        need(roles.get(model["manifest"]) == "model-manifest", "a model without a manifest")
        need((model["memory"] or 0) <= MAX_SIZE, "a model takes an impossible amount of memory")


def covers(one, other):
    """Whether every target that gets the entry with `other` gets the one with `one`."""
    return not one or (other and set(other) <= set(one))


def optional(index):
    components = index["components"]
    names = [component["name"] for component in components]
    for at, component in enumerate(components):
        again = component["name"] in names[:at] or component["name"] in ("all", "none")
        need(component["required"] or not again, "an optional component called %r" % component["name"])
    entries = index["directories"] + index["files"] + index["links"]
    only_for = {entry["path"]: entry.get("only_for", []) for entry in entries}
    for path, positions in only_for.items():
        need(positions == sorted(set(positions)), "only_for of %s is out of order" % path)
        for at in positions:
            need(at < len(components) and not components[at]["required"], "only_for of %s" % path)
        parent = path.rpartition("/")[0]
        need(not parent or covers(only_for[parent], positions), "%s without its directory" % path)
    for entry in index["files"]:
        need(entry["component"] in entry.get("only_for", [entry["component"]]), "%s without its component" % entry["path"])
    for link in index["links"]:
        if "symbolic" in link:
            to = os.path.normpath(os.path.join(os.path.dirname(link["path"]), link["symbolic"]))
            need(covers(only_for.get(to, []), link.get("only_for", [])), "link %s without its target" % link["path"])
    for unit in index["units"]:
        if unit["drop_in"] is not None:
            need(only_for[unit["drop_in"]] == only_for[unit["path"]], "the drop-in of %s" % unit["name"])


# Reading -------------------------------------------------------------------------------------------------------------


def other_volumes(path, size, total):
    """The bytes of `x.run.002` and so on: all but the last as long as the first, which is whole kB or MiB or fills FAT32."""
    if size % 1000 and size % (1 << 20) and size != (1 << 32) - 1:
        raise Damaged("it is cut off")
    data = b""
    for number in range(2, -(-total // size) + 1):
        try:
            with open("%s.%03d" % (path, number), "rb") as file:
                volume = file.read()
        except FileNotFoundError:
            raise Damaged("volume %d is missing" % number) from None
        if len(volume) != min(size, total - size - len(data)):
            raise Damaged("volume %d has another length" % number)
        data += volume
    return data


class RunFile:
    """An opened `.run` file whose index is intact and makes sense."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        stub = elf_length(self.data)
        if stub == len(self.data):
            raise Damaged("nothing is appended to the stub")
        start = -(-stub // ALIGNMENT) * ALIGNMENT
        header = self.data[start : start + BLOCK]
        size = re.fullmatch(rb"([0-7]{11})\0", header[124:136])
        if len(header) < BLOCK or size is None or header != ustar(b"index.json", int(size[1], 8), b"0"):
            raise Damaged("the first header")
        size = int(size[1], 8)
        if size > MAX_INDEX:
            raise Unreadable("the index is too long")
        text = self.data[start + BLOCK : start + BLOCK + size]
        line = (hashlib.sha256(text).hexdigest() + "  index.json\n").encode()
        at = start + BLOCK + size + -size % BLOCK + BLOCK
        if len(text) < size or self.data[at : at + len(line)] != line:
            raise Damaged("the index does not match its digest")
        at = at + len(line) + -len(line) % BLOCK
        signature = self.signature_at(at)
        comment = signed_comment(signature) if signature is not None else None
        self.index = parse(text)
        check(self.index)
        if comment not in (None, trusted_comment(self.index, text)):
            raise Damaged("the signature is about another package")
        self.regions, length = layout(self.index, text, signature)
        if self.index["build"]["stub"]["size"] != stub:
            raise Damaged("the stub has another length")
        if self.index["total_length"] != length:
            raise Unreadable("the total length does not follow from the members")
        if len(self.data) < length:
            self.data += other_volumes(path, len(self.data), length)
        if len(self.data) != length:
            raise Damaged("the file has another length")

    def signature_at(self, at):
        """The third member, if it is the signature."""
        header = self.data[at : at + BLOCK]
        size = re.fullmatch(rb"([0-7]{11})\0", header[124:136])
        if size is None or header != ustar(SIGNATURE.encode(), int(size[1], 8), b"0"):
            return None
        size = int(size[1], 8)
        if size > 2048 or len(self.data) < at + BLOCK + size:
            raise Damaged("the signature is too long")
        return self.data[at + BLOCK : at + BLOCK + size]

    def verify(self):
        """Compares every byte, and gives the content of every blob by its digest."""
        contents_by_digest = {}
        for at, length, what in self.regions:
            found = self.data[at : at + length]
            if isinstance(what, bytes):
                good = found == what
            elif what[0] == "stub":
                good = digest(found) == self.index["build"]["stub"]["digest"]
            elif what[0] == "document":
                good = digest(found) == what[1]["digest"]
            else:
                pieces = [found[start : start + CHUNK] for start in range(0, length, CHUNK)]
                good = [digest(piece) for piece in pieces] == what[1]["chunks"]
                if good:
                    contents_by_digest[what[1]["digest"]] = decode(what[1], found)
            if not good:
                raise Damaged("the bytes at %d are not the ones that were packed" % at)
        return contents_by_digest


def decode(blob, stored):
    content = stored
    if blob["encoding"] == "xz":
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY)
        try:
            content = decoder.decompress(stored, blob["size"] + 1)
            if not decoder.eof and len(content) <= blob["size"]:
                content += decoder.decompress(b"", 1)
        except (lzma.LZMAError, EOFError) as error:
            raise Damaged("a blob does not decode: %s" % error) from None
        if not decoder.eof or decoder.unused_data:
            raise Damaged("a blob has another length, or something behind its stream")
    if len(content) != blob["size"] or digest(content) != blob["digest"]:
        raise Damaged("a content is not what its digest says")
    return content


def extract(run, directory):
    contents_by_digest = run.verify()
    at = lambda path: os.path.join(directory, path)  # noqa: E731
    for entry in run.index["directories"]:
        os.makedirs(at(entry["path"]), exist_ok=True)
    for entry in run.index["files"]:
        with open(at(entry["path"]), "xb") as file:
            file.write(contents_by_digest[entry["blob"]])
        os.chmod(at(entry["path"]), int(entry["mode"], 8))
    for link in run.index["links"]:
        if "hard" in link:
            os.link(at(link["hard"]), at(link["path"]))
        else:
            os.symlink(link["symbolic"], at(link["path"]))
    for entry in reversed(run.index["directories"]):
        os.chmod(at(entry["path"]), int(entry["mode"], 8))


# Writing -------------------------------------------------------------------------------------------------------------


def write(path, stub, index, documents, blobs, text=None):
    """Writes a file with right digests, whatever the index says; `text` is another form of it."""
    if text is None:
        index["total_length"] = 0
        while True:
            text = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
            length = layout(index, text)[1]
            if length == index["total_length"]:
                break
            index["total_length"] = length
    with open(path, "wb") as file:
        for _, _, what in layout(index, text)[0]:
            if isinstance(what, bytes):
                file.write(what)
            elif what[0] == "stub":
                file.write(stub)
            else:
                file.write((documents if what[0] == "document" else blobs)[what[1].get("name", what[1]["digest"])])


def verdict(path, directory=None):
    """0, 10 or 12, and why; extracts a good package when a directory is given."""
    try:
        run = RunFile(path)
        if directory is None:
            run.verify()
        else:
            extract(run, directory)
    except Damaged as error:
        return 10, "damaged: %s" % error
    except Unreadable as error:
        return 12, "not readable: %s" % error
    return 0, "good"


def main():
    code, why = verdict(sys.argv[2], sys.argv[3] if sys.argv[1] == "extract" else None)
    print(why)
    return code


if __name__ == "__main__":
    sys.exit(main())
