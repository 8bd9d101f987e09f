"""A connection to a registry, by way of the machine's proxy if it has one."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import urllib.parse
import urllib.request

from engine.registry.places import is_loopback


class Connection:
    """A connection to one origin, by way of the machine's proxy if it has one."""

    def __init__(self, origin: tuple[str, str], context: ssl.SSLContext | None, limit: float):
        self.origin = origin
        self.scheme, self.host = origin
        proxy = _proxy(origin)
        self._tunnel = proxy is not None and self.scheme == "https"
        # A proxy of plain HTTP is asked by whole addresses.
        self.prefix = f"http://{self.host}" if proxy is not None and not self._tunnel else ""
        at = proxy.netloc.rpartition("@")[2] if proxy is not None else self.host
        self.headers = _proxy_authorization(proxy)
        if self.scheme == "https":
            self.http: http.client.HTTPConnection = http.client.HTTPSConnection(
                at, timeout=limit, context=context
            )
        else:
            self.http = http.client.HTTPConnection(at, timeout=limit)
        if self._tunnel:
            self.http.set_tunnel(self.host, headers=self.headers)
            self.headers = {}
        self.socket: socket.socket | None = None  # `http` forgets its own when the answer says so
        self.spoilt = False


def _proxy(origin: tuple[str, str]) -> urllib.parse.SplitResult | None:
    scheme, host = origin
    found = urllib.request.getproxies().get(scheme)
    # What is on this machine is not behind its proxy, as Go's programs have it.
    here = is_loopback(host) or host.startswith("127.")
    if not found or here or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(found if "://" in found else f"http://{found}")


def _proxy_authorization(proxy: urllib.parse.SplitResult | None) -> dict[str, str]:
    if proxy is None or proxy.username is None:
        return {}
    name, word = (urllib.parse.unquote(part or "") for part in (proxy.username, proxy.password))
    return {"Proxy-Authorization": basic(name, word)}


def basic(username: str, password: str) -> str:
    """The header's value for a user and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
