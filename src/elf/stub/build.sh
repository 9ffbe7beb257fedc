#!/bin/sh
# Builds the position-independent images that are committed beside their sources.
#   build.sh ARCH OUT          compiles stub.c and ../launcher/launcher.c
# into OUT/stub.bin, OUT/launcher.bin and OUT/compiler (what compiled them). The committed bytes were
# made by Debian's gcc 12 (gcc, and gcc-aarch64-linux-gnu): closures must not depend on the compiler
# of whoever builds `recipe`.
set -eu
arch=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
case $arch in
    x86_64) tools='' flags=-fcf-protection=none ;;
    # Addresses relative to the instruction alone: the image does not begin at a page.
    aarch64) tools=aarch64-linux-gnu- flags='-mbranch-protection=none -mcmodel=tiny' ;;
    *) echo "no sources for $arch" >&2; exit 2 ;;
esac
gap=256 # bytes by which the stub may move the start-up block down

image() { # NAME DIRECTORY
    # shellcheck disable=SC2086
    (cd "$2" && ${tools}gcc $flags -std=c11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fpie \
        -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables \
        -fno-tree-loop-distribute-patterns -fno-jump-tables \
        -mgeneral-regs-only -fno-ident -DSTACK_GAP=$gap -I "$here" \
        -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-T,"$here/flat.ld" \
        -o "$out/$1.elf" "entry_$arch.S" "$1.c")
    ${tools}objcopy -O binary -j .image "$out/$1.elf" "$out/$1.bin"
    rm "$out/$1.elf"
}

image stub "$here"
image launcher "$here/../launcher"
{ ${tools}gcc --version | head -n 1; ${tools}ld --version | head -n 1; } >"$out/compiler"
