#!/usr/bin/env python3
"""`recipe serve` to many clients at once, against nginx serving the same files.

    benches/serving.py RECIPE NAME [CLIENTS] [ROUNDS]

RECIPE is a release build of the command, NAME a recipe of this checkout that it has built. Each client is a `curl` that
takes every file of the cache ten times over loopback. Rounds are interleaved; the median of the ratios of bytes per
second is printed, and how much memory each server has had at most.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import free_port, make_key, nginx, wait_for

TIMES = 10


def most_memory(process):
    """Of a process and its children, in MB."""
    pids = [process.pid] + [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) for text in status) / 1024


def load(url, files, clients):
    """Seconds until every client has everything."""
    words = ["curl", "-sf"] + [word for file in files * TIMES for word in ("-o", "/dev/null", f"{url}/{file}")]
    began = time.perf_counter()
    running = [subprocess.Popen(words) for _ in range(clients)]
    if any([one.wait() for one in running]):
        sys.exit(f"a client of {url} failed")
    return time.perf_counter() - began


def main():
    recipe, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    clients = int(sys.argv[3]) if len(sys.argv) > 3 else 16
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    place = Path(tempfile.mkdtemp(prefix="recipe-serving-"))
    place.chmod(0o755)
    env = dict(os.environ, XDG_CONFIG_HOME=str(place / "config"))
    make_key(recipe, env)
    ours = subprocess.Popen([recipe, "serve", "--listen", "127.0.0.1:0", "--folder", place / "served"],
                            env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = ours.stdout.readline().strip()
    # Who asks first makes it pack.
    subprocess.run([recipe, "pull", name, "--cache", url, "--store", place / "store", "--out-link", place / "link"],
                   env=env, check=True, capture_output=True)
    files = sorted(str(path.relative_to(place / "served")) for path in (place / "served").rglob("*") if path.is_file())
    port = free_port()
    other, other_url = nginx(place, f"root {place}/served;", f"127.0.0.1:{port}", workers=2), f"http://127.0.0.1:{port}"
    wait_for(port)
    pairs = [(load(url, files, clients), load(other_url, files, clients)) for _ in range(rounds)]
    moved = sum((place / "served" / file).stat().st_size for file in files) * TIMES * clients
    speed = [moved / 1e6 / statistics.median(side) for side in zip(*pairs)]
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{clients} clients: recipe serve {speed[0]:.0f} MB/s, nginx {speed[1]:.0f} MB/s, {ratio:.2f} x; "
          f"memory {most_memory(ours):.0f} MB and {most_memory(other):.0f} MB")
    for server in ours, other:
        server.terminate()
        server.wait()
    subprocess.run(["chmod", "-R", "u+w", place], check=False)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
