//! URLs that are signed for an S3 server: version 4, the signature in the query. Begin at [`Signer::sign`].
//!
//! What is sent is then an ordinary request, by the one HTTP client. Source: "Authenticating Requests: Using Query
//! Parameters (AWS Signature Version 4)" of the S3 API reference, whose example is a test here.

use std::fmt::Write as _;

use reqwest::Url;
use ring::hmac;

use crate::net::hex;

/// How long a signed URL is good, in seconds: as long as one transfer may take.
const GOOD_FOR: u32 = 6 * 3600;

/// Who signs, and for which region.
#[derive(Clone)]
pub(super) struct Signer {
    /// The access key's id.
    pub(super) id: String,
    /// Its secret.
    pub(super) secret: String,
    /// `us-east-1`, where the server has no other.
    pub(super) region: String,
}

impl Signer {
    /// `url` with the signature for `method`, made at `now` (seconds since 1970).
    pub(super) fn sign(&self, method: &str, url: &Url, now: u64) -> Url {
        self.sign_for(method, url, &stamp(now), GOOD_FOR)
    }

    fn sign_for(&self, method: &str, url: &Url, stamp: &str, seconds: u32) -> Url {
        let day = &stamp[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let query = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{scope}", self.id)),
            ("X-Amz-Date", stamp.to_owned()),
            ("X-Amz-Expires", seconds.to_string()),
            ("X-Amz-SignedHeaders", "host".to_owned()),
        ];
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let query = query.join("&");
        let canonical = format!(
            "{method}\n{}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD",
            url.path(),
            host(url)
        );
        let text = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let mut key = mac(format!("AWS4{}", self.secret).as_bytes(), day.as_bytes());
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = mac(key.as_ref(), part.as_bytes());
        }
        let signature = hex(mac(key.as_ref(), text.as_bytes()).as_ref());
        let mut signed = url.clone();
        signed.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
        signed
    }
}

/// As the `Host` header has it: a port only where it is not the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn sha256(text: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text).as_ref())
}

/// All but letters, digits and `-._~` as `%XX`.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// `20130524T000000Z`. Source: days to a date by Howard Hinnant's `civil_from_days`.
fn stamp(now: u64) -> String {
    let (days, second) = (now / 86_400, now % 86_400);
    let shifted = days as i64 + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_reference_has_its_signature() {
        let signer = Signer {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let url = "https://examplebucket.s3.amazonaws.com/test.txt"
            .parse()
            .unwrap();
        let signed = signer.sign_for("GET", &url, "20130524T000000Z", 86_400);
        assert!(
            signed.as_str().ends_with(
                "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            ),
            "{signed}"
        );
    }

    #[test]
    fn seconds_become_a_date() {
        for (now, wanted) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_796_083_199, "20261130T235959Z"),
        ] {
            assert_eq!(stamp(now), wanted);
        }
    }
}
