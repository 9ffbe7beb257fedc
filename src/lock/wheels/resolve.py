# Runs the resolver twice over one cache: its answer as pylock.toml, then (from the cache alone)
# as requirements.txt, because only that format says who needs what. Both go to standard output.
import os
import sys

program, *options = sys.argv[1:]
parts = []
for format, more in (("pylock.toml", []), ("requirements.txt", ["--offline"])):
    arguments = [program, *options, *more, "--format", format, "-o", "/tmp/" + format]
    code = os.spawnv(os.P_WAIT, program, arguments)
    if code:
        sys.exit(code if code > 0 else 128 - code)
    with open("/tmp/" + format, "rb") as file:
        parts.append(file.read())
sys.stdout.buffer.write(b"\0".join(parts))
