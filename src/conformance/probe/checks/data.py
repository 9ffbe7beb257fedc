"""Data that Python and its libraries look for: certificates, time zones, terminals, mail types."""

import os
import tempfile

from .ground import HOST_BUNDLES, check, inside, need, python, root


def own_bundle():
    return os.path.join(root(), "etc/ssl/certs/ca-certificates.crt")


@check
def certificates():
    import ssl
    need(os.path.exists(own_bundle()) or any(map(os.path.exists, HOST_BUNDLES)), "no certificates, in the tree or here")
    code = ("import os, ssl\n"
            "count = len(ssl.create_default_context().get_ca_certs())\n"
            "folder = ssl.get_default_verify_paths().capath\n"
            "print(count or (len(os.listdir(folder)) if folder else 0))")
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SSL_CERT_")}
    count = int(python(code, env=bare))
    paths = python("import ssl; print(tuple(ssl.get_default_verify_paths()))", env=bare).strip()
    assert count > 100, f"{count} authorities; looked for in {paths}"
    return [count, paths, ssl.OPENSSL_VERSION]


@check
def certificates_by_environment():
    source = next((p for p in (own_bundle(), *HOST_BUNDLES) if os.path.exists(p)), None)
    need(source, "no certificates, in the tree or here")
    with open(source) as file:
        text = file.read()
    end = "-----END CERTIFICATE-----\n"
    start = text.index("-----BEGIN")
    one = text[start:text.index(end, start) + len(end)]
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(one)
        file.flush()
        env = {**os.environ, "SSL_CERT_FILE": file.name}
        count = python("import ssl; print(len(ssl.create_default_context().get_ca_certs()))", env=env).strip()
        assert count == "1", f"{count} authorities, 1 in the file"
        shown = python("import ssl; print(ssl.get_default_verify_paths().cafile)", env=env).strip()
        assert shown == file.name, f"get_default_verify_paths() says {shown}"


@check
def openssl_configuration():
    import _ssl
    paths = _ssl.get_default_verify_paths()
    there = [path for path in paths if path.startswith("/") and os.path.exists(path) and not inside(path)]
    assert not there, f"OpenSSL looks into {', '.join(there)} of the host"
    return paths


@check
def hashes():
    import hashlib
    for name in sorted(hashlib.algorithms_guaranteed):
        hashlib.new(name, b"x")
    return sorted(hashlib.algorithms_available)


@check
def zones():
    import datetime
    import zoneinfo
    try:
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        raise AssertionError(f"no Europe/Berlin in {zoneinfo.TZPATH}") from None
    offset = datetime.datetime(2024, 7, 1, tzinfo=zone).utcoffset()
    assert offset == datetime.timedelta(hours=2), offset
    return len(zoneinfo.available_timezones())


@check
def zone_of_the_process():
    code = "import time; time.tzset(); print(time.tzname, time.timezone)"
    out = python(code, env={**os.environ, "TZ": "Europe/Paris"}).strip()
    assert "CEST" in out and "-3600" in out, f"TZ=Europe/Paris gives {out}"


@check
def terminals():
    # Without TERM of the host: every name must come out of host or tree.
    code = "import curses; curses.setupterm(%r, 1); print(curses.tigetnum('colors'))"
    env = {k: v for k, v in os.environ.items() if k not in ("TERMINFO", "TERMINFO_DIRS")}
    seen = {name: int(python(code % name, env=env)) for name in ("xterm", "xterm-256color", "screen", "linux", "tmux-256color")}
    assert seen["xterm"] == 8 and seen["xterm-256color"] == 256, seen
    return seen


@check
def mime_types():
    import mimetypes
    assert mimetypes.guess_type("a.html")[0] == "text/html"
    own = os.path.join(root(), "etc/mime.types")
    need(os.path.exists(own), "no mime.types in the tree")
    known = {os.path.realpath(path) for path in mimetypes.knownfiles}
    assert os.path.realpath(own) in known, mimetypes.knownfiles
    assert mimetypes.guess_type("a.djvu")[0], "mime.types is not read"


@check
def databases_and_archives():
    import bz2
    import lzma
    import sqlite3
    import zlib
    assert sqlite3.connect(":memory:").execute("select sqlite_version()").fetchone()
    for module in (bz2, lzma, zlib):
        assert module.decompress(module.compress(b"x" * 1000)) == b"x" * 1000
    return sqlite3.sqlite_version


@check
def help_system():
    assert "Help on" in python("help(len)", input="")


@check
def tkinter_or_a_clean_answer():
    python("try: import tkinter\n"
           "except ModuleNotFoundError as error: assert error.name in ('tkinter', '_tkinter'), error\n"
           "except ImportError as error: assert 'libtk' in str(error) or 'libtcl' in str(error), error")
