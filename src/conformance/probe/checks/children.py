"""What children see, and what whoever started Python sees of it."""

import os
import sys
import tempfile

from . import ground
from .ground import PRIVATE, check, child, few, host_program, need, need_proc, python, root


def allowed():
    """Names that no program of a host reads, each where the host lacks the data that it is for or is not asked for them."""
    places = {"RCPLOCP": ("/usr/lib/locale",), "RTZDR": ("/usr/share/zoneinfo",),
              "RCPTRMNFO_DRS": ("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo")}
    return ground.MAY_ADD | {name for name in PRIVATE if not any(map(os.path.isdir, places[name]))}


@check
def environment():
    need(ground.GIVEN is not None, "what it was given was not told")
    # The probe's own; and Python itself sets this one where no locale is set (PEP 538).
    own = {"PYTHONPYCACHEPREFIX", "LC_CTYPE"}
    extra = sorted(set(os.environ) - set(ground.GIVEN) - own - allowed())
    shown = [f"{name}={os.environ[name]}" for name in extra]
    assert not extra, f"added: {few(shown)}"
    gone = sorted(set(ground.GIVEN) - set(os.environ))
    assert not gone, f"gone: {few(gone)}"


@check
def environment_of_children():
    env = {"A": "b", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": "/nonexistent", "PATH": os.environ.get("PATH", "")}
    code = ("import os, subprocess, sys\n"
            "code = 'import os; print(sorted(os.environ))'\n"
            "sys.stdout.write(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout)")
    seen = eval(child(sys.executable, "-c", code, env=env))
    extra = sorted(set(seen) - set(env) - {"LC_CTYPE"} - allowed())
    assert not extra, f"added: {few(extra)}"
    assert set(env) <= set(seen), f"gone: {few(sorted(set(env) - set(seen)))}"


@check
def children_of_the_host():
    need_proc()
    cat = host_program("/bin/cat", "/usr/bin/cat")
    maps = child(cat, "/proc/self/maps")
    bad = [line.split()[-1] for line in maps.splitlines() if root() + "/" in line]
    assert not bad, f"`cat` maps {few(sorted(set(bad)))}"
    passed = dict(os.environ, LD_LIBRARY_PATH="/nonexistent")
    code = "import os, subprocess; print(subprocess.run([%r, '/proc/self/environ'], capture_output=True).stdout)" % cat
    out = python(code, env=passed)
    assert "LD_LIBRARY_PATH=/nonexistent" in out, f"a child sees {out[-600:]}"


@check
def file_system_made_by_the_host():
    mkfs = host_program("/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4")
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "image")
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        child(mkfs, "-q", "-F", image)


@check
def working_folder():
    with tempfile.TemporaryDirectory() as folder:
        out = python("import os; print(os.getcwd())", cwd=folder).strip()
        assert os.path.realpath(out) == os.path.realpath(folder), f"it went from {folder} to {out}"
        gone = os.path.join(folder, "gone")
        os.mkdir(gone)
        code = ("import os, subprocess, sys\n"
                f"os.chdir({gone!r}); os.rmdir({gone!r})\n"
                "subprocess.run([sys.executable, '-c', 'pass'], check=True)")
        child(sys.executable, "-c", code)
    child(sys.executable, "-c", "pass", cwd=root())


@check
def exit_codes():
    import signal
    import subprocess
    done = subprocess.Popen([sys.executable, "-c", "import os, sys; print(os.getpid()); sys.exit(int(input()))"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out, _ = done.communicate("7\n", timeout=60)
    assert done.returncode == 7, f"sys.exit(7) became {ground.ended(done.returncode)}"
    assert int(out) == done.pid, f"process {done.pid} runs Python as its child {out.strip()}"
    done = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"])
    assert done.returncode == -signal.SIGTERM, f"SIGTERM became {ground.ended(done.returncode)}"


@check
def start_is_silent():
    import subprocess
    done = subprocess.run([sys.executable, "-c", "pass"], capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 0 and not said, said[-500:] or ground.ended(done.returncode)
