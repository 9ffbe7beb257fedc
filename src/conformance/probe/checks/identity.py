"""Who Python thinks it is, however it was started."""

import os
import sys
import tempfile

from .ground import check, child, few, first_in_path, in_fork, inside, is_home, need, python, root
from . import ground

HOME = "import sys; print(sys.base_prefix)"


@check
def executable():
    assert os.path.isabs(sys.executable or ""), f"sys.executable is {sys.executable!r}"
    real = os.path.realpath(sys.executable)
    assert inside(sys.executable), f"sys.executable is {sys.executable}, which is {real}, not in the tree"
    started = ground.STARTED
    same = os.path.dirname(os.path.abspath(sys.executable)) == os.path.dirname(os.path.abspath(started))
    assert same, f"started as {started}, sys.executable is {sys.executable}"
    return sys.executable


@check
def prefixes():
    bad = {name: getattr(sys, name) for name in ("prefix", "base_prefix", "exec_prefix", "base_exec_prefix")
           if not inside(getattr(sys, name))}
    assert not bad, bad


@check
def search_path():
    bad = [path for path in sys.path if path and os.path.exists(path) and not inside(path)
           and not path.startswith(os.path.dirname(os.path.dirname(os.path.abspath(ground.__file__))))]
    assert not bad, f"sys.path has {few(bad)}"
    assert inside(os.__file__), f"the standard library is {os.path.dirname(os.__file__)}"
    return sys.path[1:]


@check
def real_files():
    import json as module
    path = module.__file__
    assert path and os.path.exists(path), f"json.__file__ is {path}, which is no file"
    assert os.path.exists(os.__file__), f"os.__file__ is {os.__file__}, which is no file"


@check
def proc_names():
    need(os.path.exists("/proc/self/exe"), "no /proc")
    exe = os.readlink("/proc/self/exe")
    assert inside(exe), f"/proc/self/exe is {exe}, not in the tree"
    assert os.path.basename(exe) == os.path.basename(os.path.realpath(sys.executable)), \
        f"/proc/self/exe is {exe}, sys.executable is {sys.executable}"
    with open("/proc/self/comm") as file:
        comm = file.read().strip()
    started = os.path.basename(ground.STARTED)[:15]
    assert comm == started, f"started as {started}, ps shows {comm}"
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    assert os.path.basename(words[0].decode()) == os.path.basename(ground.STARTED), f"ps shows {words[:4]}"
    return exe


@check
def odd_argv0():
    for argv0 in ("weird", "-python"):
        out = child(argv0, "-c", HOME, executable=sys.executable)
        assert is_home(out), f"started as {argv0!r}, its prefix is {out.strip()}"


@check
def by_descriptor():
    code = ("import os, sys\n"
            "file = os.open(sys.executable, os.O_RDONLY)\n"
            "os.execve(file, ['weird', '-c', 'import sys; print(sys.base_prefix)'], dict(os.environ))")
    need(os.execve in os.supports_fd, "no fexecve")
    need(os.path.exists("/proc/self/exe"), "without /proc nobody knows which file a descriptor is")
    out = python(code)
    assert is_home(out), f"its prefix is {out.strip()}"


def started_by(words, **options):
    out = child(*words, "-c", "import os, sys; print(sys.base_prefix); print(sys.executable)", **options)
    prefix, executable = out.splitlines()[:2]
    assert is_home(prefix), f"started as {words[0]}, its prefix is {prefix}"
    assert os.path.isabs(executable), f"started as {words[0]}, sys.executable is {executable}"


@check
def by_link():
    with tempfile.TemporaryDirectory() as folder:
        link, chain = os.path.join(folder, "py thon"), os.path.join(folder, "chain")
        os.symlink(os.path.abspath(sys.executable), link)
        os.symlink("py thon", chain)
        os.symlink(root(), os.path.join(folder, "dir"))
        below = os.path.relpath(os.path.abspath(ground.STARTED), root())
        started_by([link])
        started_by([chain])
        started_by(["./chain"], cwd=folder)
        if not below.startswith(".."):
            started_by([os.path.join(folder, "dir", below)])


@check
def by_path():
    folder, name = os.path.split(os.path.abspath(ground.STARTED))
    need(":" not in folder, "a colon in the path")
    started_by([name], env={**os.environ, "PATH": first_in_path(folder)})
    # Found by the PATH of whoever starts it, which is not handed on.
    bare = {key: value for key, value in os.environ.items() if key != "PATH"}
    old = os.environ.get("PATH")
    try:
        os.environ["PATH"] = first_in_path(folder)
        started_by([name], env=None)
        out = in_fork(lambda: child(os.path.join(folder, name), "-c", HOME, env=bare))
        assert is_home(out), f"without PATH its prefix is {out.strip()}"
    finally:
        os.environ.pop("PATH") if old is None else os.environ.update(PATH=old)


@check
def by_relative_path():
    folder, name = os.path.split(os.path.abspath(ground.STARTED))
    up = os.path.join("..", os.path.basename(folder), name)
    for words, cwd in (([os.path.join(".", name)], folder), ([up], folder)):
        started_by(words, cwd=cwd)


@check
def by_shebang():
    path = os.path.abspath(ground.STARTED)
    need(len(path) < 120 and " " not in path, "a path that no `#!` line can hold")
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w") as file:
            file.write(f"#!{path}\nimport sys\nprint(sys.base_prefix)\n")
        os.chmod(script, 0o755)
        out = child(script)
        assert is_home(out), f"its prefix is {out.strip()}"


@check
def copied_elsewhere():
    """It works, or says in a word why not; it never runs with another standard library."""
    import shutil
    import subprocess
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "python3")
        shutil.copy(os.path.realpath(sys.executable), copy)
        done = subprocess.run([copy, "-c", HOME], capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            assert inside(done.stdout.strip()), f"the copy runs with {done.stdout.strip()}"
        else:
            assert done.stderr.strip(), f"the copy says nothing: {ground.ended(done.returncode)}"
            assert done.returncode > 0, f"the copy was {ground.ended(done.returncode)}"
            return done.stderr.strip()[-200:]


@check
def restarts():
    code = ("import os, sys\n"
            "if 'again' not in os.environ:\n"
            "    os.environ['again'] = '1'\n"
            "    os.execv(sys.executable, [sys.executable, '-c', os.environ['code']])\n"
            "print(sys.base_prefix)")
    out = python(code, env={**os.environ, "code": code})
    assert is_home(out), f"its prefix is {out.strip()}"


@check
def no_environment():
    out = python("import sys, encodings; print(sys.base_prefix)", env={})
    assert is_home(out), f"its prefix is {out.strip()}"


@check
def no_new_privileges():
    need(os.path.exists("/proc/self/status"), "no /proc")
    with open("/proc/self/status") as file:
        words = dict(line.split(":", 1) for line in file if ":" in line)
    need("NoNewPrivs" in words and words["NoNewPrivs"].strip() == "1", "privileges were not renounced here")
