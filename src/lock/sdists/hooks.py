# Asks one question of a project's build backend (PEP 517), in the folder of its source. The answer is
# one line of JSON on standard output; all that the backend prints goes to standard error.
import importlib
import json
import os
import platform
import sys
import zipfile

answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
question, folder, backend, *paths = sys.argv[1:]
# Not the source's folder unless the project says so.
sys.path[0:1] = [os.path.join(os.getcwd(), path) for path in paths]
sys.argv[1:] = []
module, _, attribute = backend.partition(":")
hooks = importlib.import_module(module)
for name in filter(None, attribute.split(".")):
    hooks = getattr(hooks, name)


def metadata():
    prepare = getattr(hooks, "prepare_metadata_for_build_wheel", None)
    if prepare is not None:
        path = os.path.join(folder, prepare(folder), "METADATA")
        with open(path, "rb") as file:
            return file.read()
    with zipfile.ZipFile(os.path.join(folder, hooks.build_wheel(folder))) as wheel:
        for name in wheel.namelist():
            if name.count("/") == 1 and name.endswith(".dist-info/METADATA"):
                return wheel.read(name)
    raise SystemExit("the wheel that was built has no METADATA")


told = {"python": platform.python_version()}
if question == "requires":
    requires = getattr(hooks, "get_requires_for_build_wheel", None)
    told["requires"] = [str(it) for it in requires()] if requires is not None else []
elif question == "metadata":
    told["metadata"] = metadata().decode("utf-8", "replace")
else:
    told["wheel"] = hooks.build_wheel(folder)
sys.stdout.flush()
json.dump(told, answer)
answer.close()
