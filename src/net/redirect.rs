//! Where a redirect may lead. Credentials stay with the origin they were given for.

use std::net::IpAddr;

use reqwest::Url;

/// The URL that a `Location` of `from` names, or why it is not followed.
pub(super) fn next(from: &Url, location: &str) -> Result<Url, String> {
    if location.bytes().any(|b| b.is_ascii_control()) {
        return Err("its Location holds control characters".into());
    }
    let mut to = from
        .join(location)
        .map_err(|reason| format!("its Location is no URL: {reason}"))?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => {
            return Err(format!(
                "from https to plain http ({})",
                super::error::shown(&to)
            ));
        }
        ("http" | "https", "http" | "https") => {}
        (_, scheme) => return Err(format!("to a {scheme}: URL")),
    }
    if from.host_str() != to.host_str() && is_local(&to) {
        return Err(format!(
            "into this machine or its link ({})",
            super::error::shown(&to)
        ));
    }
    if from.origin() == to.origin() {
        copy_credentials(from, &mut to);
    } else {
        // What a server wrote into its Location is not a credential that the user gave.
        let _ = to.set_username("");
        let _ = to.set_password(None);
    }
    Ok(to)
}

fn copy_credentials(from: &Url, to: &mut Url) {
    let _ = to.set_username(from.username());
    let _ = to.set_password(from.password());
}

/// Loopback, link-local and unspecified addresses: what a mirror on the internet has no business with.
fn is_local(url: &Url) -> bool {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    if host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost") {
        return true;
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => {
            let mapped = v6
                .to_ipv4_mapped()
                .is_some_and(|v4| v4.is_loopback() || v4.is_link_local());
            v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || mapped
        }
        Err(_) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn to(from: &str, location: &str) -> Result<String, String> {
        next(&from.parse().unwrap(), location).map(|url| url.to_string())
    }

    #[test]
    fn f063_unsafe_redirects_are_refused() {
        for (from, location) in [
            ("https://a.test/x", "http://a.test/x"),
            ("https://a.test/x", "file:///etc/passwd"),
            ("https://a.test/x", "ftp://a.test/x"),
            ("https://a.test/x", "https://127.0.0.1/x"),
            ("https://a.test/x", "https://2130706433/x"),
            ("https://a.test/x", "https://localhost/x"),
            ("https://a.test/x", "https://169.254.169.254/latest"),
            ("https://a.test/x", "https://[::1]/x"),
            ("https://a.test/x", "https://[fe80::1]/x"),
            ("https://a.test/x", "https://[::ffff:127.0.0.1]/x"),
            ("https://a.test/x", "/y\r\nSet-Cookie: z"),
            ("https://a.test/x", "https://"),
        ] {
            assert!(to(from, location).is_err(), "{location}");
        }
    }

    #[test]
    fn f063_credentials_stay_with_their_origin() {
        let from = "https://me:secret@a.test/x/y";
        assert_eq!(to(from, "z").unwrap(), "https://me:secret@a.test/x/z");
        assert_eq!(
            to(from, "https://a.test/q").unwrap(),
            "https://me:secret@a.test/q"
        );
        assert_eq!(to(from, "https://b.test/q").unwrap(), "https://b.test/q");
        assert_eq!(
            to(from, "https://a.test:8443/q").unwrap(),
            "https://a.test:8443/q"
        );
        assert_eq!(
            to(from, "https://you:other@b.test/q").unwrap(),
            "https://b.test/q"
        );
        assert_eq!(
            to("http://me:s@a.test/x", "https://a.test/x").unwrap(),
            "https://a.test/x"
        );
    }
}
