"""Users, names, locales: what is asked of the host and may be missing there."""

import os

from .ground import check, need, python


@check
def users():
    import grp
    import pwd
    try:
        assert pwd.getpwuid(0).pw_name == "root", pwd.getpwuid(0)
        assert os.path.exists("/etc/passwd"), "user 0 is known without /etc/passwd"
    except KeyError:
        assert not os.path.exists("/etc/passwd"), "user 0 is unknown in spite of /etc/passwd"
    try:
        pwd.getpwnam("no-such-user-at-all")
        raise AssertionError("found a user that does not exist")
    except KeyError:
        pass
    return len(grp.getgrall())


@check
def host_names():
    import socket
    numeric = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4]
    assert numeric == ("127.0.0.1", 80), numeric
    assert socket.getaddrinfo("::1", 80)
    if os.path.exists("/etc/hosts"):
        with open("/etc/hosts") as file:
            if "localhost" in file.read():
                assert socket.getaddrinfo("localhost", 80)
    try:
        socket.getaddrinfo("x.invalid", 80)
        raise AssertionError("x.invalid has an address")
    except socket.gaierror as error:
        return str(error)


@check
def locales():
    code = "import locale; print(locale.setlocale(locale.LC_ALL, ''), locale.setlocale(locale.LC_ALL, 'C.UTF-8'))"
    values = ["C.UTF-8", "C"]
    # The host's locales come first; before glibc 2.35 they have one spelling of this name.
    if not os.path.isdir("/usr/lib/locale/C.UTF-8"):
        values.append("C.utf8")
    seen = [python(code, env={**os.environ, "LC_ALL": value}).strip() for value in values]
    python("import locale; locale.setlocale(locale.LC_ALL, '')", env={**os.environ, "LC_ALL": "", "LANG": "C.UTF-8"})
    return seen


@check
def locale_of_the_host():
    folder = "/usr/lib/locale"
    need(os.path.isdir(folder), "the host has no locales")
    have = [name for name in os.listdir(folder) if name.endswith((".utf8", ".UTF-8")) and not name.startswith("C.")]
    if not have and os.path.isfile(os.path.join(folder, "locale-archive")):
        with open(os.path.join(folder, "locale-archive"), "rb") as file:
            have = ["en_US.utf8"] if b"en_US.utf8" in file.read() else []
    need(have, "the host has no locale but C")
    python("import locale, sys; print(locale.setlocale(locale.LC_ALL, %r))" % have[0])
    return have[0]


@check
def unknown_locale():
    """A host's LANG that nobody has data for is no reason to die."""
    python("print('\\u00fc')", env={**os.environ, "LC_ALL": "", "LANG": "xx_XX.UTF-8"})


@check
def file_system_encoding():
    for env in ({}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}):
        out = python("import sys; print(sys.getfilesystemencoding())", env=env).strip()
        assert out == "utf-8", f"with {env} it is {out}"


@check
def c_library():
    import platform
    kind, version = platform.libc_ver()
    need_name = {"glibc": True, "musl": True}
    assert need_name.get(kind), f"platform.libc_ver() is {(kind, version)}"
    return version


@check
def user_without_a_home():
    python("import os, site; os.path.expanduser('~'); site.getusersitepackages()",
           env={name: value for name, value in os.environ.items() if name != "HOME"})
