"""Run with a tree's own Python, tells line by line what holds in that tree: JSON, one check a line.

    <tree>/bin/python3 probe.py --tree DIR [--given NAME]... [--only NAME]... [--skip NAME]... [--strict]

`ok` is true, false, or null where the place it runs in cannot say (no /proc, no /etc/passwd, ...);
then `found` gives the reason. Knows host, musl, and empty roots by what it finds. Writes only below
a temporary folder. `--given` names a variable that it was started with; `--may-add` one that the
tree may add, and `--host-code` lets it have libraries of the host that it lacks; `--strict` exits 1
when a check is false. The last line says that it came to its end.
"""

import argparse
import json
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from checks import ground  # noqa: E402
from checks import children, configuration, data, host, identity, machine, modules, processes  # noqa: E402,F401

# Seconds for one check, on a machine with much else to do.
PATIENCE = 180


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", default=sys.base_prefix)
    parser.add_argument("--started", default=sys.executable)
    parser.add_argument("--given", action="append")
    parser.add_argument("--may-add", action="append", default=[])
    parser.add_argument("--host-code", action="store_true")
    # `-` is the name of no check.
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    ground.TREE = os.path.realpath(options.tree)
    ground.STARTED = options.started
    ground.GIVEN = options.given
    ground.MAY_ADD, ground.HOST_CODE = frozenset(options.may_add), options.host_code
    # A check that wrote byte code into the tree would change what the next one looks at.
    os.environ["PYTHONPYCACHEPREFIX"] = ground.CACHE
    failed = False
    for name, function in ground.CHECKS.items():
        if name in options.skip or (options.only and name not in options.only):
            continue
        answer = ask(function)
        failed |= answer["ok"] is False
        print(json.dumps({"check": name, **answer}, default=str), flush=True)
    shutil.rmtree(ground.CACHE, ignore_errors=True)
    print(json.dumps({"end": True}), flush=True)
    return int(options.strict and failed)


def give_up(*_):
    raise TimeoutError(f"no answer in {PATIENCE} seconds")


def ask(function):
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        return {"ok": True, "found": function()}
    except ground.Skip as reason:
        return {"ok": None, "found": str(reason)}
    except AssertionError as error:
        return {"ok": False, "found": str(error)[:2000]}
    except BaseException as error:
        return {"ok": False, "found": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
