#!/bin/bash
# After the script that Scylla's relocatable packages use.
x="$(readlink -f "$0")"
b="$(basename "$x")"
d="$(dirname "$x")/.."
export PATH="$d/bin:$PATH"
PYTHONPATH="$d/lib64/site-packages:$PYTHONPATH" exec -a "$0" "$d/lib64/ld-linux-x86-64.so.2" --library-path "$d/lib64" "$d/libexec/$b.bin" "$@"
