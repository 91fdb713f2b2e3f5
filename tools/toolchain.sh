#!/bin/bash
# toolchain.sh [x86_64|aarch64]: sees to it that the stub for that machine can be linked with musl, and says how. The ways,
# in this order: an installed target; rustup; Debian's packages. Without any, builder/build.rs falls back to static glibc
# for x86_64, with a loud line, and leaves the stub for aarch64 out.
set -uo pipefail

arch=${1:-x86_64}
target=$arch-unknown-linux-musl
cache=${XDG_CACHE_HOME:-$HOME/.cache}/airgap-deploy
sysroot=$cache/musl-sysroot-$arch
packages="rustc-web cargo-web rust-web-src libstd-rust-web-dev"
case $arch in
x86_64) compiler=musl-gcc tools=musl-tools sysroot=${AIRGAP_DEPLOY_MUSL_SYSROOT:-$sysroot} ;;
aarch64) compiler=$cache/musl-aarch64/musl-gcc tools="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
*) echo "toolchain: no stub is made for $arch (x86_64, aarch64)" >&2; exit 2 ;;
esac

say() { echo "toolchain: $*"; }
has_library() { compgen -G "$1/libstd-*.rlib" > /dev/null; }
has_target() { has_library "$(rustc --print target-libdir --target "$target" 2> /dev/null)"; }
has_sysroot() { has_library "$sysroot/lib/rustlib/$target/lib" && [ -x /usr/bin/rustc ]; }
has_compiler() { "$compiler" --version > /dev/null 2>&1; }
can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; }
apt() {
  say "apt-get install $*"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } > /dev/null
}

# Headers and libraries of musl for ARM, out of Debian's package: only unpacked, and with lists of packages of their own,
# so that this machine does not become one of two architectures.
unpack_musl() {
  local directory=$cache/musl-aarch64 work
  work=$(mktemp -d) && mkdir -p "$work/lists/partial" "$work/archives/partial" && chmod 755 "$work" || return 1
  local options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$work" -o Dir::State::status=/dev/null
    -o "Dir::Cache=$work" -o APT::Sandbox::User=root)
  say "unpacking Debian's musl-dev for arm64 into $directory"
  (cd "$work" && apt-get "${options[@]}" update && apt-get "${options[@]}" download musl-dev) > /dev/null || return 1
  rm -rf "$directory" && mkdir -p "$directory" && dpkg -x "$work"/musl-dev_*_arm64.deb "$directory" || return 1
  rm -rf "$work"
  printf '#!/bin/sh\nexec aarch64-linux-gnu-gcc -nostdinc -isystem %s -isystem %s "$@"\n' \
    "$directory/usr/include/aarch64-linux-musl" "$(aarch64-linux-gnu-gcc -print-file-name=include)" > "$compiler"
  chmod +x "$compiler"
}

# builder/build.rs watches this file: it runs again when a way to make a stub is new.
mkdir -p "$cache" && { [ -e "$cache/toolchains" ] || : > "$cache/toolchains"; }
is_ready() { has_compiler && { has_target || has_sysroot; }; }
is_ready && was_ready=yes || was_ready=no

if ! has_target && ! has_sysroot && command -v rustup > /dev/null; then
  say "rustup target add $target"
  timeout 120 rustup target add "$target" > /dev/null 2>&1 || say "rustup cannot add it here"
fi
if ! has_compiler && can_apt; then
  # shellcheck disable=SC2086
  apt $tools || say "$tools cannot be installed"
  [ "$arch" = x86_64 ] || unpack_musl || say "musl-dev for arm64 cannot be unpacked"
fi
if ! has_target && ! has_sysroot && can_apt; then
  # shellcheck disable=SC2086
  if apt $packages; then
    mkdir -p "$(dirname "$sysroot")"
    say "making a musl standard library in $sysroot (a minute, once)"
    "$(dirname "$0")/musl-sysroot.sh" "$arch" "$sysroot" || say "that failed"
  else
    say "Debian's packages cannot be installed"
  fi
fi
if is_ready; then
  [ "$was_ready" = yes ] || touch "$cache/toolchains"
  say "the stub for $arch is linked with musl"
elif [ "$arch" = x86_64 ]; then
  say "WARNING: no musl target and musl-gcc: the stub is linked statically with glibc, as a last resort."
  say "WARNING: as root on Debian, make toolchain installs what is missing; elsewhere: rustup target add $target, and musl-gcc"
else
  say "WARNING: the builder cannot carry a stub for $arch. As root on Debian, make toolchain-aarch64 installs what is missing;"
  say "WARNING: elsewhere: rustup target add $target, and a C compiler for it, named by CC_aarch64_unknown_linux_musl"
  exit 1
fi
exit 0
