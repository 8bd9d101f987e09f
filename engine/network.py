"""Networks of containers: a bridge in a namespace of the engine's own, and pooled namespaces.

Nothing of it is in the host's network: a hub namespace holds the bridge, and slirp4netns, an
ordinary process, carries its traffic out. So the host needs no bridge, no forwarding and no rule,
two engines never meet, and all is gone when the engine's processes are. Neither the host's loopback
nor its other addresses can be reached from a container.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine import linux
from engine.errors import EngineError
from engine.lazy import Lazy
from engine.process import end, run, spawn

_HUB = "hub"
_GATEWAY = "10.87.0.1"
_PREFIX = 17
_UPLINK = "10.87.255.0/24"
_NAMESERVER = "10.87.255.3"
_MTU = "65520"
_NAMESPACES = Path("/run/netns")
_POOLED = 16


_MAKE_HUB = f"""\
ip netns add {_HUB}
ip -n {_HUB} -batch - <<END
link set lo up
link add br0 type bridge
addr add {_GATEWAY}/{_PREFIX} dev br0
link set br0 up
{{prohibited}}
END
nsenter --net={_NAMESPACES / _HUB} sh -e <<END
echo 1 >/proc/sys/net/ipv4/ip_forward
iptables -w -t nat -A POSTROUTING -o tap0 -j MASQUERADE
END
"""

_MAKE_NAMESPACE = f"""\
ip netns add c{{number}}
ip -n c{{number}} -batch - <<END
link add eth0 mtu {_MTU} type veth peer name v{{number}} mtu {_MTU} netns {_HUB}
link set lo up
addr add {{address}}/{_PREFIX} dev eth0
link set eth0 up
route add default via {_GATEWAY}
END
ip -n {_HUB} link set v{{number}} master br0 up
"""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace with an address on the bridge, or one with loopback alone."""

    name: str
    address: str
    alone: bool = False

    @property
    def path(self) -> str:
        """Where the namespace is bound, for a runtime to enter."""
        return str(_NAMESPACES / self.name)


class Network:
    """The network of one engine."""

    nameserver = _NAMESERVER

    def __init__(self, proxies: Collection[str] = ()) -> None:
        self._proxies = proxies
        self._free: list[Namespace] = []
        self._numbers = itertools.count(2)
        self._hub: Lazy[None] = Lazy(self._make_hub)
        self._slirp: asyncio.subprocess.Process | None = None

    async def acquire(self, *, alone: bool = False) -> Namespace:
        """A namespace for one container, with loopback and, unless it is `alone`, the way out."""
        await self._hub.get()
        if alone:
            return await self._make_alone(next(self._numbers))
        if self._free:
            return self._free.pop()
        return await self._make(next(self._numbers))

    async def release(self, namespace: Namespace, *, reusable: bool = True) -> None:
        """Give a namespace back; one that a privileged container could change is not used again."""
        if reusable and not namespace.alone and len(self._free) < _POOLED:
            self._free.append(namespace)
        else:
            await run("ip", "netns", "delete", namespace.name)

    async def warm(self, count: int) -> None:
        """Have the hub and `count` namespaces ready."""
        await self._hub.get()
        while len(self._free) < count:
            self._free.append(await self._make(next(self._numbers)))

    async def close(self) -> None:
        """End the process that carries traffic out; the namespaces go with the engine's mounts."""
        if self._slirp is not None:
            await end(self._slirp)

    async def _make_hub(self) -> None:
        _NAMESPACES.mkdir(exist_ok=True)
        if (_NAMESPACES / _HUB).exists():  # of an attempt that failed or was cancelled
            await self.close()
            await run("ip", "netns", "delete", _HUB)
        # What listens there is as little a container's as the machine's loopback.
        own = (f"route add prohibit {address}" for address in await self._own_addresses())
        # One shell for all: each program that we start ourselves holds the engine up.
        await _shell(_MAKE_HUB.format(prohibited="\n".join(own)))
        await self._start_slirp()

    async def _own_addresses(self) -> set[str]:
        """The machine's addresses, without those of the proxies that containers are told of."""
        listing = json.loads(await run("ip", "-json", "-4", "address"))
        own = {found["local"] for link in listing for found in link["addr_info"]}
        proxies = [urlsplit(value).hostname for value in self._proxies]
        for name in filter(None, proxies):
            with suppress(OSError):
                own.discard(await asyncio.to_thread(socket.gethostbyname, name))
        return {address for address in own if not address.startswith("127.")}

    async def _start_slirp(self) -> None:
        ready, tell = os.pipe()
        try:
            self._slirp = await spawn(
                *("slirp4netns", "--configure", f"--mtu={_MTU}", "--disable-host-loopback"),
                *("--netns-type=path", f"--cidr={_UPLINK}", f"--ready-fd={tell}"),
                *(str(_NAMESPACES / _HUB), "tap0"),
                output=subprocess.DEVNULL,
                pass_fds=(tell,),
            )
            os.close(tell)
            tell = -1
            if not await asyncio.to_thread(os.read, ready, 1):
                raise EngineError("slirp4netns did not start: is /dev/net/tun there?")
        finally:
            os.close(ready)
            if tell >= 0:
                os.close(tell)

    async def _make(self, number: int) -> Namespace:
        address = f"10.87.{number // 250}.{number % 250 + 2}"
        await _shell(_MAKE_NAMESPACE.format(number=number, address=address))
        return Namespace(f"c{number}", address)

    async def _make_alone(self, number: int) -> Namespace:
        name = f"c{number}"
        await run("ip", "netns", "add", name)
        await run("ip", "-n", name, "link", "set", "lo", "up")
        return Namespace(name, "127.0.0.1", alone=True)

    async def socket_in(self, namespace: str = _HUB) -> socket.socket:
        """A TCP socket that lives in a namespace of this network, whoever uses it."""
        return await asyncio.to_thread(_socket_in, namespace)

    async def reaches(self, address: str, port: int) -> bool:
        """Whether a TCP connection to a container succeeds now."""
        probe = await self.socket_in()
        probe.setblocking(False)
        try:
            async with asyncio.timeout(1):
                await asyncio.get_running_loop().sock_connect(probe, (address, port))
            return True
        except OSError:  # TimeoutError among them
            return False
        finally:
            probe.close()


def _within(namespace: str, work: Callable[[], object]) -> None:
    """Run `work` in a thread of its own that has entered a namespace, and ends with it."""
    failure: list[BaseException] = []

    def entered() -> None:
        try:
            fd = os.open(_NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                linux.setns(fd, linux.CLONE_NEWNET)
            finally:
                os.close(fd)
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=entered)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _socket_in(namespace: str) -> socket.socket:
    made: list[socket.socket] = []
    _within(namespace, lambda: made.append(socket.socket()))
    return made[0]


async def _shell(script: str) -> None:
    await run("sh", "-e", stdin=script.encode())
