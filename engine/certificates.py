"""The machine's own certificate authorities and proxies, passed on to containers.

Behind a company's intercepting proxy nothing can be fetched without its authority: what the
machine's environment says about certificates holds in containers too, with the bundle mounted.
Neither is part of any key: a result does not depend on the way to the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.executor.spec import Mount

BUNDLE = "/dev/.certificates.pem"
"""Where containers find the bundle: in /dev, a tmpfs of each container, so no layer gets it."""

_HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_OWN_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_BUNDLE_NAMES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
)
_PROXY_NAMES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


def passed_on(env: Mapping[str, str]) -> tuple[dict[str, str], list[Mount]]:
    """The variables and mounts that every container gets on this machine."""
    names = [name for name in env if name.lower() in _PROXY_NAMES]
    found = {name: env[name] for name in names}
    bundle = Path(env.get("SSL_CERT_FILE") or _HOST_BUNDLE)
    private = any(name in env for name in _BUNDLE_NAMES) or any(_OWN_AUTHORITIES.glob("*.crt"))
    if not private or not bundle.is_file():
        return found, []
    found.update(dict.fromkeys(_BUNDLE_NAMES, BUNDLE))
    return found, [Mount(target=BUNDLE, source=str(bundle), read_only=True)]
