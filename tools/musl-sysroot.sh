#!/bin/bash
# musl-sysroot.sh ARCH DIR: makes a Rust standard library for ARCH-unknown-linux-musl out of Debian's packages, in DIR.
# Needs: rustc-web cargo-web rust-web-src libstd-rust-web-dev, and what toolchain.sh installs for C. Only for building;
# nothing of it is shipped.
set -euo pipefail

arch=$1
directory=$2
target=$arch-unknown-linux-musl
case $arch in
x86_64) gcc=gcc musl_gcc=musl-gcc ar=ar musl=/usr/lib/x86_64-linux-musl ;;
aarch64)
  unpacked=${XDG_CACHE_HOME:-$HOME/.cache}/airgap-deploy/musl-aarch64
  gcc=aarch64-linux-gnu-gcc musl_gcc=$unpacked/musl-gcc ar=aarch64-linux-gnu-ar musl=$unpacked/usr/lib/aarch64-linux-musl
  ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$directory.new"
root=$(realpath "$directory.new")
library=$root/lib/rustlib/$target/lib
mkdir -p "$library/self-contained" "$work/src"

# What rustc expects beside a musl standard library: start files, libc, and the compiler's own.
for file in crt1.o rcrt1.o Scrt1.o crti.o crtn.o libc.a; do cp "$musl/$file" "$library/self-contained/"; done
for file in crtbegin.o crtbeginS.o crtend.o crtendS.o; do cp "$($gcc -print-file-name=$file)" "$library/self-contained/"; done

# libgcc_eh is made for glibc: it finds unwind tables with _dl_find_object, which musl lacks; answer from
# dl_iterate_phdr. It names pthread functions weakly: name them strongly, so that they are linked.
cp "$($gcc -print-file-name=libgcc_eh.a)" "$library/self-contained/libunwind.a"
cat > "$work/find_object.c" <<'C'
#include <link.h>
#include <pthread.h>
#include <stddef.h>

struct dl_find_object_answer {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct question {
    ElfW(Addr) address;
    struct dl_find_object_answer *answer;
};

static int covers(struct dl_phdr_info *object, size_t size, void *data) {
    struct question *question = data;
    ElfW(Addr) start = 0, end = 0, table = 0;
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        ElfW(Addr) at = object->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && question->address >= at && question->address < at + header->p_memsz) {
            start = at;
            end = at + header->p_memsz;
        }
        if (header->p_type == PT_GNU_EH_FRAME) table = at;
    }
    if (!end || !table) return 0;
    *question->answer = (struct dl_find_object_answer){0, (void *)start, (void *)end, NULL, (void *)table, {0}};
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object_answer *answer) {
    struct question question = {(ElfW(Addr))address, answer};
    return dl_iterate_phdr(covers, &question) ? 0 : -1;
}

void *const airgap_deploy_keep[] = {
    (void *)pthread_once,        (void *)pthread_mutex_lock,  (void *)pthread_mutex_unlock,
    (void *)pthread_key_create,  (void *)pthread_getspecific, (void *)pthread_setspecific,
};
C
"$musl_gcc" -O2 -fPIC -fno-stack-protector -c "$work/find_object.c" -o "$work/find_object.o"
$ar r "$library/self-contained/libunwind.a" "$work/find_object.o" 2>/dev/null

# The standard library itself, for both panic strategies.
cat > "$work/rustc" <<'SH'
#!/bin/sh
case " $* " in
*" --crate-name panic_abort "*) exec /usr/bin/rustc "$@" -Cpanic=abort ;;
*) exec /usr/bin/rustc "$@" ;;
esac
SH
chmod +x "$work/rustc"
: > "$work/src/lib.rs"
printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2021"\n[profile.release]\ndebug = false\n' > "$work/Cargo.toml"
(
  cd "$work"
  env -u RUSTUP_TOOLCHAIN -u RUSTFLAGS RUSTC_BOOTSTRAP=1 RUSTC="$work/rustc" CARGO_TARGET_DIR="$work/target" \
    RUSTFLAGS="-Cembed-bitcode=yes -Cforce-unwind-tables=yes --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    /usr/bin/cargo build --quiet --release --target "$target" -Zbuild-std=std,panic_abort,panic_unwind
)
cp "$work/target/$target/release/deps/"*.rlib "$library/"
rm -f "$library"/libseed*.rlib
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
ln -sfn "/usr/lib/rustlib/$host" "$root/lib/rustlib/$host"
rm -rf "$directory"
mv "$root" "$directory"
echo "made a musl standard library in $directory"
