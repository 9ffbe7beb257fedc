#!/bin/sh
# Greets like a worker, then closes its output and never ends.
printf '\002\013\000\000\000cpython-313'
exec >&- sleep 1000
