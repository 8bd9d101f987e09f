"""Where a repository comes from, in the one form in which everybody may be told."""

from __future__ import annotations

import re
import urllib.parse

# As ssh and scp write it, with nothing that says what to speak: `git@host:owner/repo.git`.
_SCP = re.compile(r"(?:[^@/:]+@)?([^@/:]+):(?!//)(.+)")
_SSH = ("ssh", "git+ssh", "ssh+git")
# In a domain at the top: an address, an alias or a name without a dot is known to a few alone.
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.([a-z]{2,}|xn--[a-z0-9-]+)")


def public_url(remote: str) -> str | None:
    """The https URL of what git calls `remote`, without user and password; None for a local one."""
    if match := _SCP.fullmatch(remote):
        remote = f"ssh://{match[1]}/{match[2]}"
    try:
        parts = urllib.parse.urlsplit(remote)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    path = urllib.parse.quote(parts.path.strip("/").removesuffix(".git"), safe="/~%")
    if parts.scheme not in ("https", *_SSH) or not _HOST.fullmatch(host) or not path:
        return None
    # The port of ssh says nothing of where https is spoken.
    place = f"{host}:{port}" if port and parts.scheme == "https" else host
    return f"https://{place}/{path}"
