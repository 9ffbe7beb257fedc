"""Run by a closure's own Python at a place that did not exist when it was built.

Prints one problem per line; nothing means that all is well. The first argument is the place.
"""
import importlib
import os
import sys
import sysconfig

place = sys.argv[1]
library = sysconfig.get_path("stdlib")


def problem(text):
    print(text.replace("\n", " "))


def inside(path):
    return os.path.realpath(path).startswith(os.path.realpath(place) + "/")


for name, value in [
    ("sys.executable", sys.executable),
    ("sys.prefix", sys.prefix + "/"),
    ("sys.base_prefix", sys.base_prefix + "/"),
    ("sysconfig's stdlib", library),
    ("sysconfig's purelib", sysconfig.get_path("purelib")),
]:
    if not inside(value + "x"):
        problem(f"{name} is {value}, outside of the closure")
for entry in sys.path:
    if entry and not inside(entry):
        problem(f"sys.path names {entry}, outside of the closure")


def load(module, path):
    """Imports an extension module: what it links to has to be found inside."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        pass  # an optional companion that nobody asked for
    except (ImportError, OSError) as error:
        text = str(error)
        if ".so" in text or "GLIBC" in text or "symbol" in text:
            problem(f"{path} cannot be loaded: {text}")
    except Exception:
        pass  # whether a module likes to be imported alone is for the recipe's checks


def extensions(folder, package):
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name.isidentifier())
        for name in sorted(files):
            stem, _, rest = name.partition(".")
            if rest.endswith("so") and stem.isidentifier():
                below = os.path.relpath(root, folder)
                parts = [] if below == "." else below.split("/")
                yield ".".join(package + parts + [stem]), os.path.join(root, name)


sys.stdin = open(os.devnull) if os.path.exists(os.devnull) else None
output, sys.stdout = sys.stdout, sys.stderr
for folder in [os.path.join(library, "lib-dynload"), sysconfig.get_path("platlib")]:
    for module, path in extensions(folder, []):
        load(module, path)
sys.stdout = output

if os.path.exists("/proc/self/maps"):
    with open("/proc/self/maps") as maps:
        mapped = {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")}
    for path in sorted(mapped):
        if path.startswith("/") and not inside(path) and not path.startswith(("/dev/", "/memfd:")):
            problem(f"{path} of the host is mapped")
