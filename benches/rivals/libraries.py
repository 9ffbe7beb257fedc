"""Lists the libraries that the ELF files of a tree need, as this machine's `ldd` finds them."""

import os
import subprocess
import sys

seen = set()
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        if os.path.islink(path) or not (name.endswith(".bin") or ".so" in name):
            continue
        listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            words = line.split()
            found = [word for word in words if word.startswith("/")]
            if found and ".libs/" not in found[0]:
                seen.add(found[0])
print("\n".join(sorted(seen)))
