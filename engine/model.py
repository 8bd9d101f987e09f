"""The objects of the API as immutable values; file systems in them are worked out when needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.longtext import LongText
from engine.oci.image import Provenance
from engine.root import clean
from engine.snapshot import EMPTY, Snapshot


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a snapshot."""

    snapshot: Lazy[Snapshot]
    path: str = "/"
    shown: str = ""
    """What errors call it, where that is not the path without its first slash."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a snapshot; `name` is what it is called, where that is not its path's end."""

    snapshot: Lazy[Snapshot]
    path: str
    name: str = ""
    shown: str = ""
    """What errors call it, where that is not the path without its first slash."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by the name or URI that stands for it; its value is with the session only."""

    name: str
    slot: str
    """Under which the session keeps the value."""
    uri: str = ""
    cache_key: str = ""

    @property
    def key(self) -> str:
        """What stands for the secret in the key of an exec: never its value."""
        return self.cache_key or self.name


@dataclass(frozen=True, slots=True)
class CacheVolume:
    """A folder that execs share and that outlives them, known by its key."""

    key: str
    source: Directory | None = None
    sharing: str = "SHARED"
    owner: str = ""
    """By numbers: `user:group`."""


@dataclass(frozen=True, slots=True)
class Socket:
    """A unix socket of the client's machine."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a container exposes."""

    port: int
    protocol: str = "TCP"
    description: str | None = None
    skip_healthcheck: bool = False
    of_image: bool = False
    """Only listed, by an image: it is no port of a service, and nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """The health check of an image; durations in nanoseconds, as in its configuration."""

    args: tuple[str, ...]
    shell: bool = False
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedDirectory:
    """A directory mounted in a container; what execs write there goes on with the container."""

    target: str
    source: Directory
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedFile:
    """A file mounted in a container."""

    target: str
    source: File
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedCache:
    """A cache volume mounted in a container."""

    target: str
    volume: CacheVolume
    sharing: str = "SHARED"
    owner: str = ""
    source: Directory | None = None
    """What the volume holds at first."""
    mode: int | None = None
    """What the permissions of the volume itself are at first."""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedTemp:
    """A tmpfs mounted in a container, empty for each exec; `size` in bytes."""

    target: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedSecret:
    """A secret as a file of a container."""

    target: str
    secret: Secret
    owner: str = ""
    mode: int = 0o400


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedSocket:
    """A unix socket of the client's machine in a container."""

    target: str
    socket: Socket
    owner: str = ""


ContainerMount: TypeAlias = (
    MountedDirectory | MountedFile | MountedCache | MountedTemp | MountedSecret | MountedSocket
)


def _hides(mount: ContainerMount, other: ContainerMount) -> bool:
    """Whether another mount cannot be seen any more; secrets and sockets lie over all the rest."""
    on_top = isinstance(mount, (MountedSecret, MountedSocket))
    if on_top or isinstance(other, (MountedSecret, MountedSocket)):
        return on_top and mount.target == other.target
    return f"{other.target}/".startswith(mount.target.rstrip("/") + "/")


@dataclass(frozen=True, slots=True)
class Ran:
    """What an exec left: file systems, exit code and streams (without secrets)."""

    rootfs: Snapshot
    mounts: dict[str, Snapshot]
    exit_code: int
    stdout: str | LongText
    stderr: str | LongText
    combined: str | LongText


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container: a root file system, the image configuration, and what is mounted and bound."""

    platform: str
    rootfs: Lazy[Snapshot] = field(default_factory=lambda: Lazy.of(EMPTY))
    env: tuple[tuple[str, str], ...] = ()
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    own_args: bool = False
    """Whether the default arguments are not the image's: a service runs them alone."""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    ports: tuple[Port, ...] = ()
    healthcheck: Healthcheck | None = None
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()
    mounts: tuple[ContainerMount, ...] = ()
    secrets: tuple[tuple[str, Secret], ...] = ()
    volatile: tuple[tuple[str, str], ...] = ()
    services: tuple[tuple[str, Service], ...] = ()
    registry_auth: tuple[tuple[str, str, Secret], ...] = ()
    terminal_args: tuple[str, ...] = ()
    terminal_privileged: bool = False
    ran: Lazy[Ran] | None = None
    image_ref: str = ""
    pulled: Container | None = field(default=None, compare=False, repr=False)
    """The container as it was pulled: once it is another, its reference is not told any more."""
    provenance: Provenance | None = None
    standins: frozenset[str] = frozenset()

    @property
    def own_ports(self) -> tuple[Port, ...]:
        """The ports that a service of the container has: not those that its image lists."""
        return tuple(port for port in self.ports if not port.of_image)

    def absolute(self, path: str) -> str:
        """`path`, which may be relative to the working directory, as an absolute one."""
        return clean(path if path.startswith("/") else f"{self.workdir or '/'}/{path}")

    def mount_at(self, path: str) -> tuple[ContainerMount, str] | None:
        """The mount of files that holds the absolute `path`, and the path below it."""
        found: tuple[ContainerMount, str] | None = None
        for mount in self.mounts:
            if isinstance(mount, (MountedSecret, MountedSocket)):
                continue
            if path == mount.target or path.startswith(mount.target.rstrip("/") + "/"):
                if found is None or len(mount.target) >= len(found[0].target):
                    found = mount, clean(path[len(mount.target.rstrip("/")) :])
        return found

    def with_mount(self, mount: ContainerMount) -> Container:
        """The container with a mount, in the place of those that it hides."""
        others = tuple(m for m in self.mounts if not _hides(mount, m))
        return replace(self, mounts=(*others, mount))

    def place(self, path: str) -> tuple[Lazy[Snapshot], str]:
        """The snapshot that holds the absolute `path`, mounts included, and the path in it.

        Raises EngineError for a path in a cache volume or a temporary mount.
        """
        match self.mount_at(path):
            case (MountedDirectory() as mount, below):
                return mount.source.snapshot, clean(f"{mount.source.path}/{below}")
            case (MountedFile() as mount, _):
                return mount.source.snapshot, mount.source.path
            case (MountedCache(), _):
                raise EngineError(f"{path}: cannot retrieve path from cache")
            case (MountedTemp(), _):
                raise EngineError(f"{path}: cannot retrieve path from tmpfs")
        return self.rootfs, path


@dataclass(frozen=True, slots=True, kw_only=True)
class PortForward:
    """A port of a tunnel or of the client's machine: `frontend` is where it is reached."""

    backend: int
    frontend: int | None = None
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerService:
    """A container that runs as a service."""

    container: Container
    args: tuple[str, ...]
    privileged: bool = False
    init: bool = True
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostService:
    """Ports of the client's machine, for containers."""

    host: str
    ports: tuple[PortForward, ...]
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """A service's ports on the client's machine."""

    service: Service
    ports: tuple[PortForward, ...]
    native: bool = False


Service: TypeAlias = ContainerService | HostService | Tunnel


def service_ports(service: Service) -> list[PortForward]:
    """The ports under which a service is reached."""
    match service:
        case ContainerService():
            return [
                PortForward(backend=p.port, protocol=p.protocol)
                for p in service.container.own_ports
            ]
        case HostService():
            return [
                PortForward(backend=p.frontend or p.backend, protocol=p.protocol)
                for p in service.ports
            ]
        case Tunnel():
            return service_ports(service.service)
