"""Honest archives to begin with: seeds.py FOLDER TARGET."""
import gzip, io, lzma, os, sys, tarfile, zipfile

folder, target = sys.argv[1:]


def keep(name, data):
    with open(os.path.join(folder, name), "wb") as out:
        out.write(data)


def tar(form, prefix=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        def add(name, kind, link="", content=b""):
            entry = tarfile.TarInfo(prefix + name)
            entry.type, entry.linkname, entry.size = kind, link, len(content)
            archive.addfile(entry, io.BytesIO(content))
        add("d", tarfile.DIRTYPE)
        add("d/f", tarfile.REGTYPE, content=b"content")
        add("n" * 120, tarfile.REGTYPE)
        add("d/l", tarfile.SYMTYPE, "f/../g")
        add("d/h", tarfile.LNKTYPE, prefix + "d/f")
    return out.getvalue()


def ar(members):
    out = b"!<arch>\n"
    for name, data in members:
        out += b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name, 0, 0, 0, 0o100644, len(data))
        out += data + b"\n" * (len(data) % 2)
    return out


if target == "tar":
    for name, form in (("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT)):
        plain = tar(form)
        keep(name, b"\0" + plain)
        keep(name + ".gz", b"\1" + gzip.compress(plain))
        keep(name + ".xz", b"\2" + lzma.compress(plain))
elif target == "inrelease":
    release = (b"Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n "
               + b"a" * 64 + b" 5 main/binary-amd64/Packages.xz\n")
    package = (b"Package: zlib1g\nSource: zlib (1:1.3-1)\nVersion: 1:1.3-1+b1\nArchitecture: amd64\n"
               b"Depends: libc6 (>= 2.38) | x [amd64], y:any\nFilename: pool/main/z/zlib/z.deb\nSize: 5\nSHA256: "
               + b"a" * 64 + b"\n")
    # A version 4 Ed25519 signature of nothing: well formed, and right for no text.
    packet = bytes.fromhex("88750400160a001d162104") + bytes(20) + bytes.fromhex("0502686c") + bytes(80)
    import base64
    armour = b"-----BEGIN PGP SIGNATURE-----\n\n" + base64.encodebytes(packet) + b"-----END PGP SIGNATURE-----\n"
    keep("release", release)
    keep("packages", package + b"\n" + package)
    keep("message", b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + release + armour)
elif target == "deb":
    control, data = tar(tarfile.GNU_FORMAT, "./"), tar(tarfile.GNU_FORMAT, "./")
    version = (b"debian-binary", b"2.0\n")
    for ending, pack in ((b"", bytes), (b".gz", gzip.compress), (b".xz", lzma.compress)):
        members = [version, (b"control.tar" + ending, pack(control)), (b"data.tar" + ending, pack(data))]
        keep("deb" + ending.decode(), ar(members))
else:
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("d/", b"")
            archive.writestr("d/f", b"content" * 20)
            archive.writestr("\u00fc", b"")
            with archive.open("wide", "w", force_zip64=True) as wide:
                wide.write(b"x")
        keep(name, out.getvalue())
