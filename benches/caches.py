#!/usr/bin/env python3
"""A closure into a cache and out of it, against the plain tools that do the least of it.

    benches/caches.py RECIPE NAME [ROUNDS]

RECIPE is a release build of the command, NAME a recipe of this checkout that it has built (in the store that
RECIPE_STORE names, or its own). Pairs are interleaved, everything lies on the file system of TMPDIR, and the median of
the ratios is printed: push to an empty folder against `tar | zstd -3`, pull into an empty store against `zstd -d | tar x`,
push of what is there, and what a changed closure moves.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(words, **more):
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{words} failed:\n{done.stderr}{done.stdout}")
    return time.perf_counter() - began, done.stdout


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def shell(script, **more):
    return timed(["sh", "-ec", script], **more)[0]


def main():
    recipe, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    place = Path(tempfile.mkdtemp(prefix="recipe-caches-"))
    env = dict(os.environ, XDG_CONFIG_HOME=str(place / "config"))
    timed([recipe, "key", "new", "bench"], env=env)
    out = place / "result"
    timed([recipe, "build", name, "--out-link", str(out)], env=env)
    tree = out.resolve()
    rows = {"push, cold": [], "pull, cold": [], "push, there": []}
    for number in range(rounds):
        cache, store = place / f"cache{number}", place / f"store{number}"
        push = timed([recipe, "push", name, "--to", str(cache)], env=env)[0]
        tar = shell(f"tar -C {tree} -c . | zstd -3 -q -f -o {place}/tree.tar.zst")
        rows["push, cold"].append((push, tar))
        again = timed([recipe, "push", name, "--to", str(cache)], env=env)[0]
        rows["push, there"].append((again, 1))
        pull = timed([recipe, "pull", name, "--cache", str(cache), "--store", str(store),
                      "--out-link", str(place / f"pulled{number}")], env=env)[0]
        shutil.rmtree(place / "plain", ignore_errors=True)
        untar = shell(f"mkdir {place}/plain; zstd -d -q -c {place}/tree.tar.zst | tar -C {place}/plain -x")
        rows["pull, cold"].append((pull, untar))
        subprocess.run(["chmod", "-R", "u+w", store])
        shutil.rmtree(store)
    print("| | `recipe` | plain | ratio |\n| --- | ---: | ---: | ---: |")
    for what, pairs in rows.items():
        ratio = statistics.median(one / other for one, other in pairs)
        one, other = (statistics.median(side) for side in zip(*pairs))
        told = f"{ratio:.2f} x" if what != "push, there" else ""
        print(f"| {what} | {one:.3f} s | {other:.3f} s | {told} |")
    print(f"\ntree {size(tree) / 1e6:.1f} MB, tar.zst {(place / 'tree.tar.zst').stat().st_size / 1e6:.1f} MB, "
          f"packs {size(place / 'cache0/pack') / 1e6:.1f} MB, index {size(place / 'cache0/index') / 1e6:.2f} MB")
    shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
