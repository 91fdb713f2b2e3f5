#!/bin/bash
# toolchain.sh: sees to it that the stub can be linked with musl, and says how. The ways, in this order: an installed
# target; rustup; Debian's packages; none, and then builder/build.rs falls back to static glibc with a loud line.
set -uo pipefail

target=x86_64-unknown-linux-musl
sysroot=${AIRGAP_DEPLOY_MUSL_SYSROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/airgap-deploy/musl-sysroot-x86_64}
packages="rustc-web cargo-web rust-web-src libstd-rust-web-dev musl-tools"

say() { echo "toolchain: $*"; }
has_library() { compgen -G "$1/libstd-*.rlib" > /dev/null; }
has_target() { has_library "$(rustc --print target-libdir --target $target 2> /dev/null)"; }
has_sysroot() { has_library "$sysroot/lib/rustlib/$target/lib" && [ -x /usr/bin/rustc ]; }
can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; }
apt() {
  say "apt-get install $*"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } > /dev/null
}

if ! has_target && ! has_sysroot && command -v rustup > /dev/null; then
  say "rustup target add $target"
  timeout 120 rustup target add $target > /dev/null 2>&1 || say "rustup cannot add it here"
fi
if ! command -v musl-gcc > /dev/null && can_apt; then
  apt musl-tools || say "musl-tools cannot be installed"
fi
if ! has_target && ! has_sysroot && can_apt; then
  # shellcheck disable=SC2086
  if apt $packages; then
    mkdir -p "$(dirname "$sysroot")"
    say "making a musl standard library in $sysroot (a minute, once)"
    "$(dirname "$0")/musl-sysroot.sh" "$sysroot" || say "that failed"
  else
    say "Debian's packages cannot be installed"
  fi
fi
if command -v musl-gcc > /dev/null && { has_target || has_sysroot; }; then
  say "the stub is linked with musl"
else
  say "WARNING: no musl target and musl-gcc: the stub is linked statically with glibc, as a last resort."
  say "WARNING: as root on Debian, make toolchain installs what is missing; elsewhere: rustup target add $target, and musl-gcc"
fi
exit 0
