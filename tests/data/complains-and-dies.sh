#!/bin/sh
# Greets like a worker, writes to standard error, and ends at the first source.
printf '\002\013\000\000\000cpython-313'
head -c 8 >/dev/null
echo 'first line' >&2
echo 'second line' >&2
exit 3
