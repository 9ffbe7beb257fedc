"""Run with a tree's own Python at some place, prints one line when it has found itself there.

    <tree>/bin/python3 start.py --tree DIR
"""

import json
import os
import sys


def main():
    try:
        # It has libraries of its own.
        import ssl  # noqa: F401
    except ModuleNotFoundError:
        pass
    tree = os.path.realpath(sys.argv[sys.argv.index("--tree") + 1])
    wrong = {}
    for name, path in (("sys.executable", sys.executable), ("sys.prefix", sys.prefix),
                       ("sys.base_prefix", sys.base_prefix), ("os.__file__", os.__file__)):
        real = os.path.realpath(path) if path else ""
        if not os.path.isabs(path or "") or not (real + "/").startswith(tree + "/"):
            wrong[name] = path if path == real else "%s, which is %s" % (path, real)
    found = "; ".join("%s is %s" % pair for pair in wrong.items()) + " (not in the tree)"
    print(json.dumps({"check": "start", "ok": not wrong, "found": found if wrong else sys.executable}))


main()
