#!/usr/bin/env python3
"""Measures builder and installer against the tools that people would take instead, on the same files, one run after the
other in turn; writes the numbers of docs/performance.md (between its marks) and the charts. What is measured is said there.

Settings, from the environment: SIZE (MiB of weights, 1024), RUNS (5), SCALING (MiB, "64 256 1024 2048"; empty for none),
RUNTIME (a file or directory of programs that compress, none), BUILDER, WORK (where it works; needs 6 times SIZE), NOTE (a
line for the page, such as what else the machine was doing). The slow stick needs root, loop devices and the kernel's blkio
controller, and is left out aloud without them.
"""

import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

SIZE = int(os.environ.get("SIZE", "1024"))
RUNS = int(os.environ.get("RUNS", "5"))
SCALING = [int(size) for size in os.environ.get("SCALING", "64 256 1024 2048").split()]
RUNTIME = os.environ.get("RUNTIME", "")
ROOT = Path(__file__).resolve().parent.parent
BUILDER = str(Path(os.environ.get("BUILDER", ROOT / "target/release/builder")).resolve())
WORK = Path(os.environ.get("WORK", ROOT / "target/bench")).resolve()
NOTE = os.environ.get("NOTE", "")
MIB = 1 << 20
# A virtual machine gives free memory back to its host after two seconds or so, and whoever needs it again waits for it. Without a
# pause only those that run right after a large file was removed would get theirs at once.
SETTLE = 3


def weights(path, size, seed):
    """A GGUF file of one tensor whose numbers do not compress."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    def pair(key, value):
        if isinstance(value, int):
            return text(key) + struct.pack("<II", 4, value)
        return text(key) + struct.pack("<I", 8) + text(value)
    floats = size // 4
    pairs = [pair("general.architecture", "llama"), pair("general.type", "model"), pair("general.name", f"bench{seed}"),
             pair("general.file_type", 0), pair("llama.block_count", 1)]
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs)
    head += text("output.weight") + struct.pack("<IQIQ", 1, floats, 0, 0)
    head += bytes(-len(head) % 32)
    with open(path, "wb") as file:
        file.write(head)
        for _ in range(floats * 4 // MIB):
            file.write(os.urandom(MIB))


def manifest(files, runtime):
    text = '[package]\nname = "bench"\nversion = "1"\n[install]\nprefix = "/opt/bench"\n'
    for number, file in enumerate(files):
        text += (f'[[components]]\ntype = "model-file"\nname = "m{number}"\n'
                 f'source = {{ type = "file", path = "{file.name}" }}\ninstall_path = "models/{file.name}"\ntemplate = ""\n')
    if runtime:
        kind = f'source = {{ type = "file", path = "{runtime}" }}\ninstall_path = "bin/ollama"\n'
        text += f'[[components]]\ntype = "external-binary"\nname = "runtime"\n{kind}'
    return text


class Bench:
    """Tasks, each run RUNS times, in turn."""

    def __init__(self):
        self.tasks = {}
        self.times = {}
        self.memory = {}
        self.processor = {}

    def add(self, name, command, before=lambda: None):
        self.tasks[name] = (command, before)

    def run(self):
        for number in range(RUNS):
            for name, (command, before) in self.tasks.items():
                before()
                subprocess.run(["sync"], check=True)
                time.sleep(SETTLE)
                seconds, used, resident = timed(command)
                self.processor.setdefault(name, []).append(used)
                self.times.setdefault(name, []).append(seconds)
                self.memory[name] = max(self.memory.get(name, 0), resident)
                print(f"{number + 1}/{RUNS} {name}: {seconds:.3f} s ({used:.2f}), {resident // 1024} MiB", flush=True)

    def median(self, name):
        return statistics.median(self.times[name])

    def busy(self, name):
        """Seconds of all processors together, which other programs of the machine hardly change."""
        return statistics.median(self.processor[name])


def timed(command):
    with open(WORK / "said.log", "wb") as log:
        began = time.monotonic()
        child = subprocess.Popen(["sh", "-c", f"exec {command}" if "&&" not in command and "|" not in command else command],
                                 cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"bench: {command} failed:\n{(WORK / 'said.log').read_text(errors='replace')[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def cold(*paths):
    """Drops files from the page cache."""
    for path in paths:
        with open(WORK / path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def clear(*names):
    for name in names:
        path = WORK / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


def read_bytes(command):
    """What `read` and its relatives gave to a command, by the kernel's own count."""
    script = f"{command} > /dev/null 2>&1; grep rchar /proc/$$/io"
    said = subprocess.run(["bash", "-c", script], cwd=WORK, capture_output=True, text=True, check=True).stdout
    return int(said.split()[1])


def has(program):
    return shutil.which(program) is not None


def build(output="p.run", source="m.toml", cache="cache"):
    return f"{BUILDER} -q --manifest {source} --output {output} --cache-dir {cache} --no-inventory"


def prepare(size):
    clear(*[entry.name for entry in WORK.iterdir()])
    (WORK / "src").mkdir()
    count = 2
    files = [WORK / "src" / f"w{number}.gguf" for number in range(count)]
    for number, file in enumerate(files):
        weights(file, size * MIB // count, number)
    (WORK / "src" / "m.toml").write_text(manifest(files, ""))
    with open(WORK / "SHA256SUMS", "w", encoding="utf-8") as sums:
        for file in files:
            digest = subprocess.run(["sha256sum", f"src/{file.name}"], cwd=WORK, capture_output=True, text=True, check=True)
            sums.write(digest.stdout)
    timed(build(source="src/m.toml"))
    return files


def measure(files):
    names = [f"src/{file.name}" for file in files]
    copy = "mkdir dst && cp --reflink=never src/*.gguf dst && sync -f dst"
    bench = Bench()
    fresh = lambda: clear("dst", "root", "q.run", "cold.lock")  # noqa: E731

    def root():
        fresh()
        (WORK / "root").mkdir()

    bench.add("cp + sync", copy, fresh)
    bench.add("build, weights known to the lock file", build("q.run", "src/m.toml"), fresh)
    bench.add("build, the first of all", build("q.run", "src/m.toml", "new"), lambda: (
        fresh(), clear("new", "src/AirGapDeploy.lock")))
    bench.add("--install", "./p.run -q --install --root root", root)
    bench.add("--install, nothing to do", "./p.run -q --install --root root")
    bench.add("--dry-run, installed", "./p.run -q --dry-run --root root")
    bench.add("--dry-run, empty", "./p.run -q --dry-run --root root", root)
    bench.add("sha256sum -c, cp + sync", f"sha256sum --quiet -c SHA256SUMS && {copy}", fresh)
    bench.add("cp + sync, cold", copy, lambda: (fresh(), cold(*names)))
    bench.add("--install, cold", "./p.run -q --install --root root", lambda: (root(), cold("p.run")))
    bench.add("--verify", "./p.run -q --verify")
    bench.add("sha256sum", "sha256sum p.run")
    bench.add("openssl dgst", "openssl dgst -sha256 p.run")
    timed("tar -cf p.tar src")
    bench.add("tar -x + sync", "mkdir dst && tar -xf p.tar -C dst && sync -f dst", fresh)
    if has("makeself"):
        timed("makeself --quiet --sha256 --nocomp src makeself.run bench true")
        bench.add("makeself --sha256, + sync", "sh makeself.run --quiet --noexec --target dst && sync -f dst", fresh)
    bench.run()
    bench.read = {"build": read_bytes(build("q.run", "src/m.toml"))}
    clear("root", "q.run", "dst")
    (WORK / "root").mkdir()
    for what, command in [("--dry-run", "./p.run -q --dry-run --root root"), ("--install", "./p.run -q --install --root root"),
                          ("second --install", "./p.run -q --install --root root"), ("--verify", "./p.run -q --verify")]:
        bench.read[what] = read_bytes(command)
    bench.payload = sum(file.stat().st_size for file in files)
    bench.overhead = (WORK / "p.run").stat().st_size - bench.payload
    return bench


def compression():
    """xz as the builder makes it, and zstd, on real programs."""
    if not RUNTIME or not has("zstd"):
        return None
    runtime = Path(RUNTIME).resolve()
    clear("rt.tar")
    subprocess.run(["tar", "-cf", str(WORK / "rt.tar"), "-C", str(runtime.parent), runtime.name], check=True)
    size = (WORK / "rt.tar").stat().st_size
    xz = "xz -T0 -k -c --block-size=4MiB --check=crc32 --lzma2=preset={},dict=1MiB rt.tar"
    ways = {"xz -4, dictionary 1 MiB, blocks of 4 MiB (the builder's)": (xz.format(4), "xz -dc -T0"),
            "xz -6, defaults": ("xz -T0 -k -c -6 rt.tar", "xz -dc -T0"),
            "zstd -3": ("zstd -q -T0 -3 -c rt.tar", "zstd -q -dc"),
            "zstd -12": ("zstd -q -T0 -12 -c rt.tar", "zstd -q -dc"),
            "zstd -19": ("zstd -q -T0 -19 -c rt.tar", "zstd -q -dc")}
    bench = Bench()
    for number, (name, (pack, unpack)) in enumerate(ways.items()):
        bench.add(f"pack {name}", f"{pack} > c{number} && sync c{number}", lambda n=number: clear(f"c{n}"))
        bench.add(f"unpack {name}", f"{unpack} c{number} > dst && sync dst", lambda: clear("dst"))
    (WORK / "rt.toml").write_text(manifest([], str(runtime)))
    bench.add("build", build("rt.run", "rt.toml"), lambda: clear("rt.run"))
    bench.add("install", "./rt.run -q --install --root root", lambda: (clear("root"), (WORK / "root").mkdir()))
    bench.run()
    sizes = [(WORK / f"c{number}").stat().st_size for number in range(len(ways))]
    return bench, list(ways), sizes, size, runtime.name


def scaling():
    points = []
    for size in SCALING:
        files = prepare(size)
        bench = Bench()
        fresh = lambda: clear("dst", "root", "q.run")  # noqa: E731
        bench.add("cp", "mkdir dst && cp --reflink=never src/*.gguf dst && sync -f dst", fresh)
        bench.add("build", build("q.run", "src/m.toml"), fresh)
        bench.add("install", "./p.run -q --install --root root", lambda: (fresh(), (WORK / "root").mkdir()))
        bench.add("dry-run", "./p.run -q --dry-run --root root")
        bench.run()
        points.append((size, bench.median("build") / bench.median("cp"), bench.median("install") / bench.median("cp"),
                       bench.median("dry-run")))
    return points


STICK = """
mount -t tmpfs none "$1/at" && mkdir "$1/at/stick" "$1/at/control" && mount -t cgroup -o blkio none "$1/at/control"
mkdir -p "$1/at/control/slow" && mkfs.ext4 -q "$1/image" && mount -o loop "$1/image" "$1/at/stick"
cp "$1/p.run" "$1/at/stick"
plug() {
    umount "$1/at/stick" && dd if=/dev/null of="$1/image" oflag=nocache conv=notrunc,fdatasync status=none
    mount -o loop "$1/image" "$1/at/stick"
    number=$(mountpoint -d "$1/at/stick")
    echo "$number $2" > "$1/at/control/slow/blkio.throttle.read_bps_device"
}
run() {
    began=$(date +%s%N); (echo 0 > "$1/at/control/slow/tasks"; exec sh -c "$2" > "$1/said.log" 2>&1); echo "$3 $(($(date +%s%N) - began))"
}
cd "$1"
for number in $(seq "$3"); do
    rm -rf out root && mkdir root
    plug "$1" "$2"; run "$1" "cp at/stick/p.run out && sync -f out" cp
    plug "$1" "$2"; run "$1" "at/stick/p.run -q --install --root root" --install
    plug "$1" "$2"; run "$1" "at/stick/p.run -q --verify" --verify
    plug "$1" "$2"; run "$1" "at/stick/p.run -q --dry-run --root root" --dry-run
done
umount at/stick
"""
SPEED = 30_000_000


def stick():
    """A stick that gives SPEED bytes a second: an image behind a loop device, held back by the kernel."""
    prepare(256)
    (WORK / "at").mkdir()
    with open(WORK / "image", "wb") as image:
        image.truncate(700 * MIB)
    ran = subprocess.run(["unshare", "--mount", "bash", "-eu", "-c", STICK, "bash", str(WORK), str(SPEED), "3"],
                         capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        print(f"bench: skipped: the slow stick: {ran.stderr.strip()[-300:]}", flush=True)
        return None
    times = {}
    for line in ran.stdout.splitlines():
        name, nanoseconds = line.split()
        times.setdefault(name, []).append(int(nanoseconds) / 1e9)
    print(f"stick: {times}", flush=True)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def svg(path, title, bars):
    """Bars of ratios, each with its target as a line."""
    width, row, left = 860, 26, 400
    most = max(max(ratio, target or 0) for _, ratio, target in bars) * 1.1
    scale = (width - left - 90) / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{50 + row * len(bars)}" font-family="sans-serif" '
           f'font-size="13"><rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-weight="bold">{title}</text>']
    for number, (label, ratio, target) in enumerate(bars):
        y = 40 + row * number
        color = "#888" if target is None else "#2a7" if ratio <= target else "#c63"
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>'
                   f'<rect x="{left}" y="{y + 2}" width="{max(1, ratio * scale):.1f}" height="16" fill="{color}"/>'
                   f'<text x="{left + max(1, ratio * scale) + 6:.1f}" y="{y + 14}">{ratio:.2f} ×</text>')
        if target is not None:
            x = left + target * scale
            out.append(f'<line x1="{x:.1f}" y1="{y - 1}" x2="{x:.1f}" y2="{y + 21}" stroke="black" stroke-width="2"/>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def svg_lines(path, title, points):
    width, height, left, bottom = 720, 300, 60, 250
    most = max(max(point[1], point[2]) for point in points) * 1.15
    step = (width - left - 40) / max(1, len(points) - 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">'
           f'<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-weight="bold">{title}</text>']
    for ratio in [0, 0.5, 1, 1.5, 2, 3, 4, 6, 8]:
        if ratio <= most:
            y = bottom - ratio / most * 210
            out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - 40}" y2="{y:.1f}" stroke="#ddd"/>'
                       f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{ratio}</text>')
    for column, color, name in [(1, "#27a", "build"), (2, "#c63", "--install")]:
        places = [(left + step * at, bottom - point[column] / most * 210) for at, point in enumerate(points)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="2"/>')
        out.append(f'<text x="{left + 10 + 90 * column}" y="44" fill="{color}">{name} / (cp + sync)</text>' if column == 1 else
                   f'<text x="{left + 120 + 90 * column}" y="44" fill="{color}">{name} / (cp + sync)</text>')
    for at, point in enumerate(points):
        out.append(f'<text x="{left + step * at:.1f}" y="{bottom + 20}" text-anchor="middle">{point[0]} MiB</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def machine():
    cpu = Path("/proc/cpuinfo").read_text()
    facts = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in cpu.splitlines() if ":" in line}
    flags = facts.get("flags", facts.get("Features", "")).split()
    sha = "with SHA extensions" if {"sha_ni", "sha2"} & set(flags) else "without SHA extensions"
    kind = subprocess.run(["df", "--output=fstype", str(WORK)], capture_output=True, text=True, check=True).stdout.split()[-1]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // MIB
    return (f"{os.cpu_count()} cores ({facts.get('model name', platform.machine())}) {sha}, {memory} GiB of memory, {kind}, "
            f"Linux {platform.release()}")


def rows(bench):
    """What is compared, what it took, how that relates, and the target."""
    half = bench.median
    def against(name, other, target, label=None):
        return (label or f"{name} / {other}", half(name), half(other), half(name) / half(other), target,
                bench.busy(name) / max(0.01, bench.busy(other)))
    table = [against("build, weights known to the lock file", "cp + sync", 1.15),
             against("build, the first of all", "cp + sync", None),
             against("--install", "cp + sync", 1.25),
             against("--install, cold", "cp + sync, cold", 1.0),
             against("--install", "sha256sum -c, cp + sync", 0.5),
             against("--install", "tar -x + sync", None)]
    if "makeself --sha256, + sync" in bench.times:
        table.append(against("--install", "makeself --sha256, + sync", 0.1))
    table += [against("--verify", "sha256sum", 0.3), against("--verify", "openssl dgst", 0.6)]
    return table


def verdict(ratio, target):
    return "" if target is None else "met" if ratio <= target else "**not met**"


def compared(bench):
    text = f"""- Machine: {machine()}. {NOTE}
- Payload: {bench.payload / MIB:.0f} MiB of model weights that do not compress, in two files; warm unless it says cold. {RUNS} runs.

| what | time | against | ratio | target | | ratio of processor time |
|---|---|---|---|---|---|---|
"""
    for label, own, other, ratio, target, busy in rows(bench):
        goal = "" if target is None else f"≤ {target} ×"
        text += f"| {label} | {own:.2f} s | {other:.2f} s | {ratio:.2f} × | {goal} | {verdict(ratio, target)} | {busy:.2f} × |\n"
    for name in ["--dry-run, empty", "--dry-run, installed"]:
        seconds = bench.median(name)
        text += f"| {name} | {seconds * 1000:.0f} ms | | | < 15 ms | {verdict(seconds, 0.015)} | |\n"
    return text + f"| --install, nothing to do | {bench.median('--install, nothing to do') * 1000:.0f} ms | | | | | |\n"


def counted(bench):
    text = "| what | read, in multiples of the payload | most memory |\n|---|---|---|\n"
    for what, read, task in [("build, weights known to the lock file", "build", "build, weights known to the lock file"),
                             ("--install", "--install", "--install"),
                             ("second --install", "second --install", "--install, nothing to do"),
                             ("--dry-run", "--dry-run", "--dry-run, empty"), ("--verify", "--verify", "--verify")]:
        text += f"| {what} | {bench.read[read] / bench.payload:.3f} | {bench.memory[task] // 1024} MiB |\n"
    return text + (f"\nThe package is {bench.overhead / 1e6:.2f} MB longer than its payload. The measuring program itself takes 16 MiB: "
                   "nothing less is seen.\n")


def from_small_to_large(points):
    text = "| payload | build / (cp + sync) | --install / (cp + sync) | --dry-run |\n|---|---|---|---|\n"
    for size, built, installed, planned in points:
        text += f"| {size} MiB | {built:.2f} × | {installed:.2f} × | {planned * 1000:.0f} ms |\n"
    return text


def from_a_stick(times):
    text = f"| 256 MiB from {SPEED // 1_000_000} MB/s | time | / (cp + sync) |\n|---|---|---|\n"
    for name, seconds in times.items():
        text += f"| {'cp + sync' if name == 'cp' else name} | {seconds:.2f} s | {seconds / times['cp']:.2f} × |\n"
    return text


def programs(packed):
    bench, ways, sizes, size, name = packed
    text = f"""{name}, {size / 1e6:.1f} MB, packed and unpacked on all cores, with `sync`; {RUNS} runs.

| way | size | ratio | pack | unpack to disk |
|---|---|---|---|---|
"""
    for way, stored in zip(ways, sizes):
        text += (f"| {way} | {stored / 1e6:.1f} MB | {stored / size:.3f} | {bench.median('pack ' + way):.2f} s | "
                 f"{bench.median('unpack ' + way):.2f} s |\n")
    own = "xz -4, dictionary 1 MiB, blocks of 4 MiB (the builder's)"
    built, installed = bench.median("build"), bench.median("install")
    return text + f"""
A whole build of a package with it takes {built:.2f} s, {built / bench.median('pack ' + own):.2f} × `xz -T0` of the same settings \
(target ≤ 1.1 ×), in {bench.memory['build'] // 1024} MiB of memory (target ≤ 256); its installation {installed:.2f} s, \
{installed / bench.median('unpack ' + own):.2f} × `xz -dc -T0` to disk (target ≤ 1.1 ×).
"""


def put(page, mark, text):
    """Replaces what stands between two marks of the page; what was not measured stays as it is."""
    begin, end = f"<!-- measured: {mark} -->\n", "<!-- end -->"
    before, _, rest = page.partition(begin)
    if not rest:
        sys.exit(f"bench: docs/performance.md has no {begin}")
    return before + begin + "\n" + text + "\n" + end + rest.partition(end)[2]


def main():
    if not Path(BUILDER).exists():
        sys.exit(f"bench: {BUILDER} is not there; make build, or set BUILDER")
    WORK.mkdir(parents=True, exist_ok=True)
    points = scaling()
    slow = stick()
    files = prepare(SIZE)
    bench = measure(files)
    packed = compression()
    docs = ROOT / "docs"
    page = (docs / "performance.md").read_text()
    page = put(put(page, "compared", compared(bench)), "counted", counted(bench))
    for mark, what, text in [("sizes", points, from_small_to_large), ("stick", slow, from_a_stick), ("programs", packed, programs)]:
        page = put(page, mark, text(what)) if what else page
    (docs / "performance.md").write_text(page)
    bars = [(label, ratio, target) for label, _, _, ratio, target, _ in rows(bench)]
    svg(docs / "performance.svg", "Time against other tools; the line is the target", bars)
    if points:
        svg_lines(docs / "performance-scaling.svg", "Time against cp + sync, over the size of the payload", points)
    shutil.rmtree(WORK)
    print("bench: wrote docs/performance.md and its charts")


main()
