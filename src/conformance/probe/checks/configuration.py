"""What Python says of itself: paths, schemes, variables of its build, byte code."""

import os
import sys

from .ground import check, child, few, inside, need, python, root


@check
def build_paths():
    import sysconfig
    bad = {name: path for name, path in sysconfig.get_paths().items() if not inside(path)}
    assert not bad, few(f"{name} is {path}" for name, path in bad.items())
    assert sysconfig.get_default_scheme() in ("posix_prefix", "venv") if hasattr(sysconfig, "get_default_scheme") else True, \
        sysconfig.get_default_scheme()


@check
def build_variables():
    import re
    import sysconfig
    bad = {}
    variables = sysconfig.get_config_vars()
    for name, value in variables.items():
        if not isinstance(value, str) or name in ("TZPATH", "userbase"):
            continue
        # What stands outside of the tree, and what a build left there.
        rest = value.replace(root(), "").replace(os.path.abspath(sys.base_prefix), "" if inside(sys.base_prefix) else "/usr")
        if re.search(r"(?<![\w.}])/(usr|build|home|root|opt|github|__w|install)\b", rest):
            bad[name] = value
    assert not bad, few((f"{name} is {value[:120]}" for name, value in bad.items()), 5)
    assert inside(variables["LIBDIR"]), f"LIBDIR is {variables['LIBDIR']}"
    for name in ("CC", "AR"):
        tool = (variables.get(name) or "").split()[:1]
        assert tool and "/" not in tool[0] and tool[0] in ("gcc", "cc", "clang", "ar"), f"{name} is {variables.get(name)}"


@check
def user_folders():
    import site
    import sysconfig
    home = python("import site; print(site.getusersitepackages())", env={"HOME": "/h"}).strip()
    flags = python("import site; print(site.ENABLE_USER_SITE)", env={"HOME": "/h"}).strip()
    shared = "/.local/lib/python" in home and flags == "True"
    assert not shared, f"modules are taken from {home}, which any Python of this version writes to"
    need(hasattr(sysconfig, "get_default_scheme"), "before Python 3.10 schemes cannot be asked for")
    bad = [path for path in site.getsitepackages() if not inside(path)]
    assert not bad, f"packages are looked for in {few(bad)}"


@check
def byte_code():
    """What is imported at every start is compiled beforehand: a read-only tree cannot do it later."""
    code = ("import sys, asyncio, json, ssl, http.client\n"
            "import os\n"
            "print([m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)"
            " and m.__file__.endswith('.py') and getattr(m, '__cached__', None) and not os.path.exists(m.__cached__)])")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    missing = [path for path in eval(child(sys.executable, "-c", code, env=env)) if inside(path)]
    assert not missing, f"{len(missing)} modules are compiled at each start: {few(missing, 3)}"


@check
def helpers_for_tests():
    python("import doctest, unittest, unittest.mock\n"
           "class T(unittest.TestCase):\n"
           "    def test(self): self.assertEqual(unittest.mock.Mock(return_value=1)(), 1)\n"
           "assert unittest.main(argv=['x'], exit=False).result.wasSuccessful()")
