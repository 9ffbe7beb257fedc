# Where CA certificates come from: SSL_CERT_FILE and SSL_CERT_DIR, else the host's bundle, else
# the one that travels with this Python.
_HOST_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def _ca_bundles():
    """Bundles to try in order; none if the environment names its own."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return []
    own = os.path.join(sys.base_prefix, "etc/ssl/certs/ca-certificates.crt")
    return [path for path in (*_HOST_CA_BUNDLES, own)
            if os.path.isfile(path) and os.access(path, os.R_OK) and os.path.getsize(path)]


