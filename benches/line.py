#!/usr/bin/env python3
"""A closure over a line of 118 MB/s and 20 ms, against the line itself and a pull from a folder.

    benches/line.py RECIPE NAME [ROUNDS]      as root, with nginx and iproute2

Two network namespaces are joined by a pair of interfaces with a rate (tbf); what passes waits 10 ms in each direction
in a proxy (delay.py), as there is no netem everywhere. RECIPE is a release build of the command, NAME a recipe that it has built.
The limit is the larger of the time in which the line carries as many bytes and that of the same pull from a folder.
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

from common import make_key, nginx, timed

RATE = 118e6
DELAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delay.py")


def run(*words, **more):
    return timed(words, **more)[0]


def main():
    recipe, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    place = Path(tempfile.mkdtemp(prefix="recipe-line-"))
    env = dict(os.environ, XDG_CONFIG_HOME=str(place / "config"))
    make_key(recipe, env)
    run(recipe, "push", name, "--to", place / "cache", env=env)
    here, there = "recipe-line-a", "recipe-line-b"
    inside = lambda where, *words: ["ip", "netns", "exec", where, *words]
    servers = []
    try:
        for where in here, there:
            run("ip", "netns", "add", where)
            run("ip", "-n", where, "link", "set", "lo", "up")
        run("ip", "-n", here, "link", "add", "to-b", "type", "veth", "peer", "name", "to-a", "netns", there)
        run("ip", "-n", here, "addr", "add", "10.78.0.1/24", "dev", "to-b")
        run("ip", "-n", there, "addr", "add", "10.78.0.2/24", "dev", "to-a")
        run("ip", "-n", here, "link", "set", "to-b", "up")
        run("ip", "-n", there, "link", "set", "to-a", "up")
        run("tc", "-n", here, "qdisc", "add", "dev", "to-b", "root", "tbf", "rate", "944mbit", "burst", "256kb",
            "latency", "50ms")
        servers.append(nginx(place, f"root {place};", "10.78.0.1:8080", f"access_log {place}/access.log;",
                             inside=inside(here)))
        servers.append(subprocess.Popen(inside(here, sys.executable, DELAY, "10.78.0.1", "8081", "8080")))
        time.sleep(1)
        pairs = []
        for turn in range(rounds):
            took = []
            for cache in place / "cache", "http://10.78.0.1:8081/cache":
                # None is deleted before the end: files are made several times slower after that.
                store = place / f"store-{turn}-{len(took)}"
                took.append(run(*inside(there, recipe, "pull", name, "--cache", cache, "--store", store, "--out-link",
                                        place / "link"), env=env))
            pairs.append(took)
    finally:
        for server in servers:
            server.terminate()
        for where in here, there:
            subprocess.run(["ip", "netns", "del", where], check=False)
    asked = (place / "access.log").read_text().splitlines()
    sent = sum(int(re.search(r'" 20\d (\d+) ', line)[1]) for line in asked) / rounds
    line = sent / RATE
    ratio = statistics.median(late / max(line, folder) for folder, late in pairs)
    folder, late = (statistics.median(side) for side in zip(*pairs))
    print(f"{name}: {sent / 1e6:.1f} MB, line {line:.2f} s, from a folder {folder:.2f} s, over the line {late:.2f} s: "
          f"{ratio:.2f} x of the larger; {len(asked) / rounds:.0f} requests")
    run("chmod", "-R", "u+w", place)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
