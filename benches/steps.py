#!/usr/bin/env python3
"""Many tiny builds: what a sandboxed `build` step costs, against ninja on the same graph.

    benches/steps.py RECIPE [ROUNDS] [SIZE...]

RECIPE is a release build of the command; ninja has to be installed, and a Debian mirror reachable once.
Each size is a graph of that many recipes in layers of 50, each of which uses three of the layer below and
runs one shell that writes one line. Every round builds all of it in an empty store (what is fetched is there
already), and then with ninja, which shuts nothing in. The median of the ratios is printed as a table.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import timed

LAYER = 50
RECIPE = """recipe "{name}" version="1" {{
{uses}    sysroot "debian" suite="trixie" {{ package "dash"; }}
    build {{ run "sh" "-c" "echo {number} > $out/{name}"; }}
}}
"""


def below(number):
    """Which recipes the recipe of that number uses."""
    layer = number // LAYER
    return sorted({(layer - 1) * LAYER + (number * 7 + k * 11) % LAYER for k in range(3)}) if layer else []


def name_of(number):
    return f"n{number:05}"


def write_recipes(folder, size):
    """All of them, and one that uses the last layer."""
    folder.mkdir()
    graph = {name_of(n): [name_of(m) for m in below(n)] for n in range(size)}
    graph["top"] = [name_of(n) for n in range(size // LAYER * LAYER - LAYER, size)]
    for number, (name, uses) in enumerate(graph.items()):
        words = "".join(f' "{use}"' for use in uses)
        uses = f"    use{words}\n" if words else ""
        (folder / f"{name}.kdl").write_text(RECIPE.format(name=name, uses=uses, number=number))
    return graph


def write_ninja(folder, graph):
    folder.mkdir()
    rules = ["rule echo\n  command = echo $in > $out\n"]
    rules += [f"build {name}: echo {' '.join(uses)}\n" for name, uses in graph.items()]
    (folder / "build.ninja").write_text("".join(rules))


def main():
    recipe, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    sizes = [int(word) for word in sys.argv[3:]] or [1000]
    print("| builds | `recipe` | ninja | ratio | a build |\n| ---: | ---: | ---: | ---: | ---: |")
    place = Path(tempfile.mkdtemp(prefix="recipe-steps-"))
    env = dict(os.environ, HOME=str(place))
    for size in sizes:
        work = place / str(size)
        work.mkdir()
        graph = write_recipes(work / "recipes", size)
        first = ["--store", str(work / "first")]
        timed([recipe, "build", name_of(0), *first], cwd=work, env=env)
        lock = (work / "recipes" / f"{name_of(0)}.lock.kdl").read_text()
        # All of them ask for the same, so one lock does for all.
        for name in graph:
            (work / "recipes" / f"{name}.lock.kdl").write_text(lock)
        ours, theirs = [], []
        for turn in range(rounds):
            store = work / f"store-{turn}"
            subprocess.run(["cp", "-a", str(work / "first"), str(store)], check=True)
            took, said = timed([recipe, "build", "--locked", "top", "--store", str(store)], cwd=work, env=env)
            if not re.search(r"steps? run", said):
                sys.exit(f"nothing was built: {said}")
            ours.append(took)
            write_ninja(work / f"ninja-{turn}", graph)
            theirs.append(timed(["ninja", "-C", str(work / f"ninja-{turn}")])[0])
            subprocess.run(["chmod", "-R", "u+w", str(store)], check=True)
            shutil.rmtree(store)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        mine, other = statistics.median(ours), statistics.median(theirs)
        print(f"| {size:,} | {mine:.2f} s | {other:.2f} s | {ratio:.2f} | {mine / size * 1e3:.2f} ms |", flush=True)
    subprocess.run(["chmod", "-R", "u+w", str(place)], check=False)
    shutil.rmtree(place)


main()
