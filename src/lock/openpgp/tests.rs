//! Row F035, with keys and signatures made by gpg, and held against gpgv's own answer.

use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

const TEXT: &str = "Origin: Test\nSuite: x\n- dashed\n\nlast line\n";
/// 2026-11-20; keys of a test are made in 2020.
const NOW: u64 = 1_795_176_000;

/// A gpg home with keys, or nothing where gpg is not installed.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn new() -> Option<Gpg> {
        let there = Command::new("gpg")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok();
        if !there {
            eprintln!("skipped: gpg is not installed");
            return None;
        }
        Some(Gpg(tempfile::Builder::new()
            .prefix("gpg")
            .tempdir()
            .unwrap()))
    }

    fn command(&self, date: &str) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args([
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        gpg.arg("--homedir")
            .arg(self.0.path())
            .arg("--faked-system-time")
            .arg(format!("{date}T000000!"));
        gpg.stderr(Stdio::null());
        gpg
    }

    fn key(&self, name: &str, kind: &str, expires: &str) {
        let status = self
            .command("20200101")
            .args(["--quick-generate-key", name, kind, "sign", expires])
            .status();
        assert!(status.unwrap().success());
    }

    fn export(&self) -> Vec<u8> {
        self.command("20200101")
            .arg("--export")
            .output()
            .unwrap()
            .stdout
    }

    fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::default();
        keyring.add(&self.export()).unwrap();
        keyring
    }

    fn sign(&self, date: &str, options: &[&str]) -> String {
        let (input, output) = (self.0.path().join("text"), self.0.path().join("signed"));
        std::fs::write(&input, TEXT).unwrap();
        let mut gpg = self.command(date);
        gpg.args(options)
            .arg("--output")
            .arg(&output)
            .arg("--clear-sign")
            .arg(&input);
        assert!(gpg.status().unwrap().success());
        std::fs::read_to_string(output).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // gpg leaves an agent behind.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "all"])
            .status();
    }
}

/// What gpgv says of a file, when it is installed.
fn gpgv(keys: &[u8], file: &[u8], scratch: &Path) -> Option<bool> {
    let (ring, signed) = (scratch.join("ring.gpg"), scratch.join("file"));
    std::fs::write(&ring, keys).unwrap();
    std::fs::write(&signed, file).unwrap();
    let mut gpgv = Command::new("gpgv");
    gpgv.arg("--keyring")
        .arg(&ring)
        .arg(&signed)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    gpgv.status().ok().map(|status| status.success())
}

#[test]
fn the_keys_are_the_ones_the_readme_names() {
    let readme = include_str!("../keys/README.md");
    let fingerprints = Keyring::debian().unwrap().fingerprints();
    assert_eq!(fingerprints.len(), 9);
    for fingerprint in fingerprints {
        assert!(readme.contains(&fingerprint), "{fingerprint}");
    }
}

#[test]
fn f035_a_good_signature_gives_exactly_the_signed_text_and_gpgv_agrees() {
    let Some(gpg) = Gpg::new() else { return };
    for (name, kind) in [("ed <e@x>", "ed25519"), ("rsa <r@x>", "rsa2048")] {
        gpg.key(name, kind, "never");
        let signed = gpg.sign("20210101", &["--local-user", name]);
        let verified = gpg.keyring().verify(signed.as_bytes(), NOW).unwrap();
        assert_eq!(verified.text, TEXT.trim_end_matches('\n'));
        assert_eq!(verified.keys.len(), 1);
        assert_ne!(
            gpgv(&gpg.export(), signed.as_bytes(), gpg.0.path()),
            Some(false)
        );
    }
}

#[test]
fn f035_every_altered_byte_of_the_text_is_refused() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key("a <a@x>", "ed25519", "never");
    let (signed, keyring) = (gpg.sign("20210101", &[]), gpg.keyring());
    let start = signed.find("Origin").unwrap();
    for at in (start..start + TEXT.len()).step_by(3) {
        let mut bytes = signed.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(keyring.verify(&bytes, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn f035_anything_around_or_between_the_signed_block_is_refused() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key("a <a@x>", "ed25519", "never");
    let (signed, keyring) = (gpg.sign("20210101", &[]), gpg.keyring());
    let variants = [
        format!("Evil: yes\n{signed}"),
        format!("\n{signed}"),
        format!("{signed}Evil: yes\n"),
        format!("{signed}{signed}"),
        signed.replace('\n', "\r\n"),
        signed.replace("Hash: ", "Evil: yes\nHash: "),
        signed.replacen("\n\n", "\nEvil: yes\n\n", 1),
        signed.replace("Origin", &format!("{BEGIN_MESSAGE}\nOrigin")),
        signed.replace(END_SIGNATURE, ""),
        signed.replace("Origin", "Or\0igin"),
        signed[..signed.len() / 2].to_owned(),
        String::new(),
    ];
    for variant in variants {
        assert!(
            keyring.verify(variant.as_bytes(), NOW).is_err(),
            "{variant}"
        );
    }
    assert!(keyring.verify(b"\xff\xfe", NOW).is_err());
}

#[test]
fn f035_unknown_expired_revoked_and_weak_are_refused_each_with_its_reason() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key("a <a@x>", "ed25519", "2y");
    let signed = gpg.sign("20210101", &[]);
    let refused = |keyring: &Keyring, file: &str, now: u64| {
        keyring
            .verify(file.as_bytes(), now)
            .unwrap_err()
            .to_string()
    };
    let during = 1_610_000_000;
    assert!(gpg.keyring().verify(signed.as_bytes(), during).is_ok());

    assert!(
        refused(&Keyring::debian().unwrap(), &signed, during)
            .contains("no signature is by a key that is trusted")
    );
    assert!(refused(&gpg.keyring(), &signed, NOW).contains("the key expired on 2021-12-31"));
    assert!(
        refused(&gpg.keyring(), &signed, 1_600_000_000)
            .contains("after the time of this machine's clock")
    );
    let weak = gpg.sign("20210101", &["--digest-algo", "SHA1"]);
    let reason = refused(&gpg.keyring(), &weak, during);
    assert!(reason.contains("hash SHA1"), "{reason} {weak}");
    let short = gpg.sign("20210101", &["--default-sig-expire", "1d"]);
    assert!(refused(&gpg.keyring(), &short, during).contains("it has expired"));

    let fingerprint = gpg.keyring().fingerprints().remove(0);
    let certificate = gpg
        .0
        .path()
        .join(format!("openpgp-revocs.d/{fingerprint}.rev"));
    let armed = std::fs::read_to_string(&certificate)
        .unwrap()
        .replace(":-----", "-----");
    std::fs::write(&certificate, armed).unwrap();
    assert!(
        gpg.command("20210201")
            .arg("--import")
            .arg(&certificate)
            .status()
            .unwrap()
            .success()
    );
    assert!(refused(&gpg.keyring(), &signed, during).contains("revoked"));
}

/// The packets of a key ring, each with the head that the newest format gives it.
fn framed(ring: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packets = packet::packets(ring).unwrap().into_iter();
    packets
        .map(|packet| {
            let length = u32::try_from(packet.body.len()).unwrap().to_be_bytes();
            let head = [&[0xc0 | packet.kind, 0xff], &length[..]].concat();
            (packet.kind, [&head, packet.body].concat())
        })
        .collect()
}

#[test]
fn f035_a_subkey_counts_while_its_own_primary_key_says_so_and_gpgv_agrees() {
    let (Some(mine), Some(others)) = (Gpg::new(), Gpg::new()) else {
        return;
    };
    for (gpg, kind) in [(&mine, "rsa3072"), (&others, "ed25519")] {
        let generate = ["--quick-generate-key", "a <a@x>", kind, "cert", "never"];
        assert!(
            gpg.command("20200101")
                .args(generate)
                .status()
                .unwrap()
                .success()
        );
        let key = gpg.keyring().fingerprints().remove(0);
        let add = ["--quick-add-key", &key, kind, "sign", "2y"];
        assert!(
            gpg.command("20200101")
                .args(add)
                .status()
                .unwrap()
                .success()
        );
    }
    let during = 1_610_000_000;
    for (gpg, digest) in [(&mine, "SHA512"), (&mine, "SHA384"), (&others, "SHA256")] {
        let signed = gpg.sign("20210101", &["--digest-algo", digest]);
        let verified = gpg.keyring().verify(signed.as_bytes(), during).unwrap();
        assert_eq!(verified.keys, gpg.keyring().fingerprints());
        let answer = gpgv(&gpg.export(), signed.as_bytes(), gpg.0.path());
        assert_ne!(answer, Some(false));
    }
    let signed = others.sign("20210101", &[]);
    let refused = |keyring: &Keyring, now| {
        let error = keyring.verify(signed.as_bytes(), now).unwrap_err();
        error.to_string()
    };
    assert!(refused(&others.keyring(), NOW).contains("the key expired on 2021-12-31"));

    // A primary key with the subkey of another, and with the binding that the other made.
    let ring: Vec<u8> = [framed(&mine.export()), framed(&others.export())]
        .iter()
        .enumerate()
        .flat_map(|(at, packets)| match at {
            0 => &packets[..3],
            _ => &packets[3..],
        })
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    let mut spliced = Keyring::default();
    spliced.add(&ring).unwrap();
    assert!(refused(&spliced, during).contains("not bound to its primary key"));

    // Without the subkey's own consent, which gpg keeps in the last, unprotected part of the binding.
    let mut packets = framed(&others.export());
    let binding = &mut packets.last_mut().unwrap().1;
    let consent = binding
        .windows(6)
        .rposition(|bytes| bytes.starts_with(&[32, 4, 0x19]))
        .unwrap();
    binding[consent + 2] = 0x18;
    let mut alone = Keyring::default();
    alone
        .add(
            &packets
                .into_iter()
                .flat_map(|(_, bytes)| bytes)
                .collect::<Vec<_>>(),
        )
        .unwrap();
    assert!(refused(&alone, during).contains("not for signing"));
}

#[test]
fn f035_no_altered_byte_of_a_key_makes_another_key_trusted() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key("a <a@x>", "ed25519", "2y");
    let (signed, ring) = (gpg.sign("20210101", &[]), gpg.export());
    let end: usize = framed(&ring)[..2]
        .iter()
        .map(|(_, bytes)| bytes.len() - 4)
        .sum();
    // Every byte of the key and of its user id is signed; what follows is the signature.
    for at in 0..end {
        let mut bytes = ring.clone();
        bytes[at] ^= 1;
        let mut keyring = Keyring::default();
        let trusted =
            keyring.add(&bytes).is_ok() && keyring.verify(signed.as_bytes(), 1_610_000_000).is_ok();
        assert!(!trusted, "byte {at}");
    }
    // Lengths that are claims, and ends anywhere.
    for at in 0..ring.len() {
        let _ = Keyring::default().add(&ring[..at]);
        let mut bytes = ring.clone();
        bytes[at] = 0xff;
        let _ = Keyring::default().add(&bytes);
    }
}

#[test]
fn f035_one_good_signature_suffices_and_one_wrong_one_refuses() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key("a <a@x>", "ed25519", "never");
    let alone = gpg.keyring();
    gpg.key("b <b@x>", "ed25519", "never");
    let signed = gpg.sign(
        "20210101",
        &["--local-user", "a <a@x>", "--local-user", "b <b@x>"],
    );
    assert_eq!(alone.verify(signed.as_bytes(), NOW).unwrap().keys.len(), 1);
    assert_eq!(
        gpg.keyring()
            .verify(signed.as_bytes(), NOW)
            .unwrap()
            .keys
            .len(),
        2
    );
    let altered = signed.replace("Origin", "Orijin");
    assert!(matches!(
        alone.verify(altered.as_bytes(), NOW),
        Err(SignatureError::Wrong { .. })
    ));
}

#[test]
fn f044_random_bytes_are_refused_and_nothing_panics() {
    let keyring = Keyring::debian().unwrap();
    proptest::proptest!(|(body in "[A-Za-z0-9+/=\n]{0,200}", text in "[ -~\n]{0,60}")| {
        let file = format!("{BEGIN_MESSAGE}\nHash: SHA256\n\n{text}\n{BEGIN_SIGNATURE}\n\n{body}\n{END_SIGNATURE}\n");
        proptest::prop_assert!(keyring.verify(file.as_bytes(), NOW).is_err());
    });
    for bytes in [
        &b""[..],
        b"\0",
        b"-",
        b"-----BEGIN PGP SIGNED MESSAGE-----\n",
    ] {
        assert!(keyring.verify(bytes, NOW).is_err());
        assert!(Keyring::default().add(bytes).is_err(), "{bytes:?}");
    }
}
