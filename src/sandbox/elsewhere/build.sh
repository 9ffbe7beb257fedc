#!/bin/sh
# Builds the library that is committed beside its source.
#   build.sh ARCH OUT          compiles preload.c
# into OUT/preload.so and OUT/compiler (what compiled it), as `../../elf/stub/build.sh` does.
set -eu
arch=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
case $arch in
    x86_64) tools='' flags='-fcf-protection=none -Wl,-z,max-page-size=4096' ;;
    aarch64) tools=aarch64-linux-gnu- flags='-mbranch-protection=none -mno-outline-atomics' ;;
    *) echo "no sources for $arch" >&2; exit 2 ;;
esac
ahead=$(sed -n 's/^pub const AHEAD: u64 = \(.*\);$/\1/p' "$here/mod.rs" | tr -d _)

# shellcheck disable=SC2086
${tools}gcc $flags -std=c11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fPIC \
    -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fno-tree-loop-distribute-patterns -fno-jump-tables -mgeneral-regs-only -fno-ident \
    -DAHEAD="$ahead" -nostdlib -shared -s -Wl,--build-id=none -Wl,--hash-style=gnu -Wl,-z,noexecstack \
    -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,now -o "$out/preload.so" "$here/preload.c"
{ ${tools}gcc --version | head -n 1; ${tools}ld --version | head -n 1; } >"$out/compiler"
