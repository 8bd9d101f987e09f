"""What a container must not be able to do to its machine, each tried by a true container."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import dagger
import pytest

from engine.executor.spec import CAPABILITIES
from engine.settings import Settings
from tests.engine import program

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

# The bits of capability.h for what Docker gives a container that asks for nothing.
DEFAULT_CAPABILITIES = 0x00000000A80425FB


def fresh(container: dagger.Container) -> dagger.Container:
    """The container, so that its commands run and are not remembered from an earlier test run."""
    return container.with_env_variable("NONCE", str(time.time_ns()))


@pytest.fixture
def debian(dag: dagger.Client) -> dagger.Container:
    return fresh(dag.container().from_("debian:bookworm-slim"))


@pytest.fixture
def python(dag: dagger.Client) -> dagger.Container:
    return fresh(dag.container().from_("python:3.11-slim"))


@pytest.fixture
def host_folder(tmp_path: Path) -> Path:
    """A folder of the machine that no container was given."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "private").write_text("the machine's own")
    return folder


async def output(container: dagger.Container, script: str) -> str:
    """What a shell script writes, whatever its exit code."""
    command = ["sh", "-c", f"exec 2>&1\n{script}"]
    return await container.with_exec(command, expect=dagger.ReturnType.ANY).stdout()


async def answer(container: dagger.Container, script: str) -> object:
    """The JSON that a Python script in the container writes."""
    return json.loads(await container.with_exec(["python", "-c", script]).stdout())


async def test_host_s_files_are_not_visible(debian: dagger.Container, host_folder: Path) -> None:
    private = host_folder / "private"
    found = await output(debian, f"cat {private} /proc/1/root{private} /proc/self/root{private}")
    assert found.count("No such file or directory") == 3
    assert "the machine's own" not in found


async def test_host_s_processes_are_not_visible(debian: dagger.Container) -> None:
    assert len((await output(debian, "ls -d /proc/[0-9]*")).split()) < 6
    found = await output(debian, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "pytest" not in found and "engine" not in found and "slirp4netns" not in found


async def test_two_containers_do_not_see_each_other_s_processes(debian: dagger.Container) -> None:
    service = debian.as_service(args=["sleep", "7654321"])
    await service.start()
    try:
        found = await output(fresh(debian), "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; kill -9 -1")
    finally:
        await service.stop()
    assert "7654321" not in found.replace("cat", "")


@pytest.fixture
def host_port() -> Iterator[int]:
    """A port of the machine's loopback that greets whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"greetings")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


CONNECT = """
import json, socket, sys
reached = []
for host in HOSTS:
    limit = 10 if host == "host" else 1  # the one that is to answer may be slow
    try:
        with socket.create_connection((host, PORT), limit) as s: reached.append(s.recv(20).decode())
    except OSError as error: reached.append(None)
print(json.dumps(reached))
"""


async def test_host_s_loopback_is_not_reached(
    dag: dagger.Client, python: dagger.Container, host_port: int
) -> None:
    hosts = ["127.0.0.1", "localhost", "10.87.0.1", "10.87.255.2", "10.0.2.2", "host"]
    script = CONNECT.replace("PORT", str(host_port))
    given = dag.host().service([dagger.PortForward(backend=host_port, frontend=host_port)])
    asked = python.with_service_binding("host", given)
    # The last is the service that was asked for: the way there is open, if one is given.
    assert await answer(asked, script.replace("HOSTS", str(hosts))) == [None] * 5 + ["greetings"]
    assert await answer(python, script.replace("HOSTS", str(hosts[:5]))) == [None] * 5


def own_addresses() -> list[str]:
    """The machine's addresses, but for loopback."""
    command = ["ip", "-json", "-4", "address"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [each["local"] for link in json.loads(said) for each in link["addr_info"]]
    return [address for address in found if not address.startswith("127.")]


@pytest.fixture
def open_port() -> Iterator[int]:
    """A port on every address of the machine, where anybody is greeted."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"greetings")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


async def test_host_s_other_addresses_are_not_reached(
    python: dagger.Container, open_port: int
) -> None:
    addresses = own_addresses()
    if not addresses:
        pytest.skip("the machine has no address but loopback")
    with socket.create_connection((addresses[0], open_port), 5) as connection:
        assert connection.recv(20) == b"greetings"
    script = CONNECT.replace("PORT", str(open_port)).replace("HOSTS", str(addresses))
    assert await answer(python, script) == [None] * len(addresses)


async def test_containers_of_another_engine_are_not_reached(
    python: dagger.Container, engine_bin: Path
) -> None:
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8099)"
    body = f"""
    base = fresh(dag.container().from_("python:3.11-slim")).with_exposed_port(8099)
    service = base.as_service(args=["python", "-c", {serve!r}])
    probe = "import socket; print(socket.gethostbyname('other'))"
    bound = fresh(base).with_service_binding("other", service)
    await service.start()
    print(await bound.with_exec(["python", "-c", probe]).stdout(), flush=True)
    sys.stdin.readline()
    """
    with program.started(body, engine_bin) as running:
        assert running.stdout is not None
        address = running.stdout.readline().strip()
        assert address.startswith("10.")
        found = await answer(
            python, CONNECT.replace("PORT", "8099").replace("HOSTS", str([address, "other"]))
        )
        running.communicate("\n", timeout=60)
    assert found == [None, None]


async def test_host_s_abstract_sockets_are_not_reached(python: dagger.Container) -> None:
    name = f"brewline-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        script = f"""
import json, socket
print(json.dumps(socket.socket(socket.AF_UNIX).connect_ex("\\0{name}")))
"""
        assert await answer(python, script) == 111  # ECONNREFUSED


MACHINE_PARTS = [
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/proc/irq/0/smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
    "/proc/1/root/proc/sys/kernel/hostname",
    "/proc/1/exe",
    "/dev/.init",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/kcore",
    "/proc/kmsg",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.subtree_control",
    "/sys/kernel/mm/ksm/run",
    "/sys/module/kernel/parameters/panic",
    "/sys/class/net/lo/mtu",
]


async def test_settings_of_the_kernel_cannot_be_written(debian: dagger.Container) -> None:
    tries = "\n".join(f"(echo x > {path}) && echo WRITTEN {path}" for path in MACHINE_PARTS)
    assert "WRITTEN" not in await output(debian, f"{tries}\nmkdir /sys/x && echo WRITTEN /sys")


async def test_masked_parts_of_proc_and_sys_are_empty(debian: dagger.Container) -> None:
    files = "/proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats"
    folders = "/proc/acpi /proc/scsi /sys/firmware"
    script = f"cat {files} 2>/dev/null | head -c 100; find {folders} -mindepth 1 2>/dev/null"
    assert await output(debian, script) == ""


async def test_devices_are_the_harmless_ones(python: dagger.Container) -> None:
    script = """
import json, os, stat
found = []
for folder, _, names in os.walk("/dev"):
    for name in names:
        status = os.lstat(f"{folder}/{name}")
        if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode): found.append(name)
print(json.dumps(sorted(found)))
"""
    devices = ["full", "null", "ptmx", "random", "tty", "urandom", "zero"]
    assert await answer(python, script) == devices


async def test_device_node_of_a_disk_cannot_be_made(debian: dagger.Container) -> None:
    script = """
tail -n +3 /proc/partitions | while read -r major minor _ name; do
    mknod "/$name" b "$major" "$minor" && echo "MADE $name"
    mknod "/dev/$name" b "$major" "$minor" && echo "MADE /dev/$name"
done
for node in "mem 1 1" "kmsg 1 11" "sg0 21 0" "fuse 10 229" "vcs 7 0"; do
    set -- $node
    mknod "/$1" c "$2" "$3" && echo "MADE $1"
done
mknod /null c 1 3 && mknod /pipe p && echo harmless ones are made
"""
    found = await output(debian, script)
    assert "MADE" not in found
    assert "harmless ones are made" in found


async def test_null_device_of_the_machine_stays_as_it_is(debian: dagger.Container) -> None:
    before = os.stat("/dev/null")
    await output(debian, "chmod 600 /dev/null; chown 5:5 /dev/null; rm /dev/null")
    after = os.stat("/dev/null")
    assert (before.st_mode, before.st_uid, before.st_ino) == (
        after.st_mode,
        after.st_uid,
        after.st_ino,
    )


def own_bounding() -> int:
    """The capabilities that this machine lets root have at all."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapBnd:")[1].split()[0], 16)


async def capabilities(container: dagger.Container, *, all_of_them: bool = False) -> dict[str, int]:
    """The capability sets of a command."""
    command = ["grep", "^Cap", "/proc/self/status"]
    ran = container.with_exec(command, insecure_root_capabilities=all_of_them)
    lines = (await ran.stdout()).split("\n")
    return {name.strip(): int(bits, 16) for name, _, bits in (x.partition(":") for x in lines if x)}


async def test_capabilities_are_the_default_set(debian: dagger.Container) -> None:
    wanted = DEFAULT_CAPABILITIES & own_bounding()
    assert len(CAPABILITIES) == DEFAULT_CAPABILITIES.bit_count()
    assert await capabilities(debian) == {
        "CapInh": 0,
        "CapPrm": wanted,
        "CapEff": wanted,
        "CapBnd": wanted,
        "CapAmb": 0,
    }


async def test_user_has_no_capability(debian: dagger.Container) -> None:
    found = await capabilities(debian.with_user("1000"))
    assert (found["CapEff"], found["CapPrm"], found["CapAmb"]) == (0, 0, 0)
    assert found["CapBnd"] == DEFAULT_CAPABILITIES & own_bounding()


async def test_set_user_id_program_gives_the_default_set_and_no_more(
    debian: dagger.Container,
) -> None:
    setuid = debian.with_exec(["sh", "-c", "cp /bin/grep /bin/cap && chmod 4755 /bin/cap"])
    ran = setuid.with_user("1000").with_exec(["cap", "^CapEff", "/proc/self/status"])
    found = int((await ran.stdout()).split(":")[1], 16)
    assert found == DEFAULT_CAPABILITIES & own_bounding()


async def test_more_is_given_only_where_it_is_asked_for(debian: dagger.Container) -> None:
    asked = await capabilities(debian, all_of_them=True)
    assert asked["CapEff"] == own_bounding() & (1 << 41) - 1
    assert (await capabilities(fresh(debian)))["CapEff"] == DEFAULT_CAPABILITIES & own_bounding()


async def test_namespace_of_a_privileged_command_is_never_used_again(
    debian: dagger.Container,
) -> None:
    setting = "/proc/sys/net/ipv4/ip_default_ttl"
    usual = await output(debian, f"cat {setting}")
    for number in range(3):
        asked = debian.with_env_variable("NUMBER", str(number))
        spoil = ["sh", "-c", f"cat {setting}; echo 7 > {setting}; cat {setting}"]
        ran = asked.with_exec(spoil, insecure_root_capabilities=True)
        assert await ran.stdout() == f"{usual}7\n"
    # Namespaces are pooled: more at a time than there can be free ones.
    found: list[str] = []

    async def look(number: int) -> None:
        after = debian.with_env_variable("AFTER", str(number))
        found.append(await output(after, f"cat {setting}; sleep 0.5"))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(look, number)
    assert found == [usual] * 20


SYSCALLS = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(number, *arguments):
    if libc.syscall(number, *arguments) < 0: return ctypes.get_errno()
    return 0
user, mount = 0x10000000, 0x20000
path, none = b"/tmp", None
calls = {
    "getpid": (39,),
    "unshare a user namespace": (272, user),
    "unshare mounts": (272, mount),
    "clone into a user namespace": (56, user | 17, 0, 0, 0, 0),
    "clone3": (435, 0, 0),
    "setns": (308, 0, 0),
    "mount": (165, b"none", path, b"tmpfs", 0, 0),
    "fsopen": (430, b"tmpfs", 0),
    "open_tree": (428, -100, path, 1),
    "umount": (166, b"/proc", 2),
    "pivot_root": (155, path, path),
    "keyctl": (250, 0, -3, 0),
    "add_key": (248, b"user", b"x", b"y", 1, -3),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "open_by_handle_at": (304, -100, 0, 0),
    "init_module": (175, 0, 0, b""),
    "kexec_load": (246, 0, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "settimeofday": (164, ctypes.byref(ctypes.c_uint64(1)), 0),
    "swapon": (167, path, 0),
    "syslog": (103, 3, 0, 0),
    "userfaultfd": (323, 0),
    "userfaultfd for a user": (323, 1),
    "io_uring_setup": (425, 1, ctypes.create_string_buffer(120)),
    "kcmp": (312, 1, 1, 0, 0, 0),
    "finit_module": (313, 0, b"", 0),
    "delete_module": (176, b"x", 0),
    "fanotify_init": (300, 0, 0),
    "iopl": (172, 3),
    "acct": (163, b"/tmp/x"),
    "sethostname": (170, b"x", 1),
    "move_pages of another": (279, 1, 0, 0, 0, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "request_key": (249, b"user", b"x", 0, 0),
    "a socket of the hypervisor": (41, 40, 1, 0),
    "mknod with bits that the kernel cuts off": (
        133, b"/cut", ctypes.c_uint64(1 << 40 | 0o60600), ctypes.c_uint64(1 << 32 | 0x103)
    ),
}
print(json.dumps([name for name, call in calls.items() if tried(*call) == 0]))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
async def test_dangerous_system_calls_are_refused(python: dagger.Container) -> None:
    assert await answer(python, SYSCALLS) == ["getpid"]


async def test_system_call_filter_is_on(debian: dagger.Container) -> None:
    status = await output(debian, "grep ^Seccomp: /proc/self/status; unshare -Ur id")
    assert status.split("\n")[0].split() == ["Seccomp:", "2"]
    assert "Operation not permitted" in status


async def test_command_gets_no_open_file_of_the_engine(python: dagger.Container) -> None:
    script = """
import json, os
found = {}
for pid in ("self", "1"):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try: found[pid + "/" + fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError: pass
print(json.dumps(found))
"""
    for ran in (python, python.with_env_variable("AGAIN", "1")):
        found = await answer(ran, script)
        assert isinstance(found, dict)
        targets = {path.partition(":")[0] for path in found.values()}
        # Those of the init: it waits for signals.
        assert targets <= {"/dev/null", "pipe", "anon_inode"}
        own = [path for name, path in found.items() if name.startswith("self/")]
        assert {path.partition(":")[0] for path in own} == {"/dev/null", "pipe"}


async def test_command_gets_nothing_of_the_engine_s_environment(
    engine_bin: Path, tiny_root: Path, tmp_path: Path
) -> None:
    body = """
    print(await sh(fresh(tiny()), "cat /proc/1/environ /proc/self/environ; export -p").stdout())
    """
    env = {"BREWLINE_STORE": str(tmp_path / "store"), "TINY_ROOT": str(tiny_root)}
    done = program.run(body, engine_bin, {**env, "AWS_SECRET_ACCESS_KEY": "the machine's own"})
    assert "NONCE" in done.stdout, done.stderr
    for word in ("the machine's own", "BREWLINE", "PYTHONPATH", "DAGGER", str(tmp_path)):
        assert word not in done.stdout


@pytest.mark.parametrize("no_init", [False, True], ids=["init", "no init"])
async def test_runtime_s_own_program_cannot_be_written_through_the_command(
    debian: dagger.Container, no_init: bool
) -> None:
    programs = [shutil.which("crun"), shutil.which("catatonit")]
    before = {path: Path(path).read_bytes() for path in programs if path}
    assert len(before) == 2
    # The command is the runtime's own program, as a link names it: it must not be the machine's.
    script = "for f in /proc/[0-9]*/exe; do (echo spoilt > $f) && echo WRITTEN; done 2>/dev/null"
    linked = debian.with_exec(["sh", "-c", "ln -s /proc/self/exe /itself; ln -s /proc/1/exe /init"])
    for command in (["/itself", "--version"], ["/proc/self/exe", "x"], ["/init", "--version"]):
        await linked.with_exec(command, no_init=no_init, expect=dagger.ReturnType.ANY).sync()
    found = await output(linked, f"{script}; echo spoilt > /itself; echo spoilt > /init")
    assert "WRITTEN" not in found
    assert {path: Path(path).read_bytes() for path in before} == before


WRITE_ALL_WAYS = """
import ctypes, mmap, os, sys
path = sys.argv[1] + "/file"
def tried(work):
    try: work()
    except OSError as error: print(error)
def mapped():
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 4) as memory: memory[:4] = b"mmap"; memory.flush()
def opened_before():
    reading = os.open(path, os.O_RDONLY)
    again = os.open(f"/proc/self/fd/{reading}", os.O_WRONLY)
    os.write(again, b"fd"); os.ftruncate(again, 8); os.fchmod(reading, 0o666)
def by_name():
    os.chown(path, 7, 7); os.utime(path, (1, 1)); os.chmod(path, 0o4777)
    os.setxattr(path, "user.spoilt", b"yes")
def removed():
    os.link(path, path + ".link"); os.rename(path, path + ".moved")
    open(path, "w").write("new")
for way in (opened_before, mapped, by_name, lambda: os.truncate(path, 0), removed): tried(way)
open(path, "a").write("appended")
"""


@pytest.mark.parametrize("user", ["", "1000"])
async def test_file_that_layers_share_is_not_changed_in_any_way(
    python: dagger.Container, user: str
) -> None:
    make = "mkdir -p /d && echo mine > /d/file && chmod 666 /d/file && chmod 777 /d"
    first = python.with_exec(["sh", "-c", make])
    tree, file = first.directory("/d"), first.file("/d/file")
    # Copies share the file by hard links, and so do their copies.
    second = fresh(python).with_directory("/d", tree)
    copies = [
        second,
        fresh(python).with_directory("/d", second.directory("/d")),
        fresh(python).with_file("/d/file", file),
        fresh(python).with_mounted_directory("/d", tree),
        fresh(python).with_mounted_file("/d/file", file),
        fresh(python).with_directory("/d", tree).with_mounted_directory("/d/sub", tree),
    ]
    for copy in copies:
        spoil = ["python", "-c", WRITE_ALL_WAYS, "/d"]
        changed = copy.with_user(user).with_exec(spoil, expect=dagger.ReturnType.ANY)
        assert (await changed.file("/d/file").contents()).endswith("appended")
    for kept in (first, *copies):
        look = "cat /d/file; stat -c '%a %u %g' /d/file; ls /d | grep -v sub"
        assert await output(fresh(kept), look) == "mine\n666 0 0\nfile\n"
        contents = await kept.file("/d/file").contents()
        assert contents == "mine\n"


async def test_layer_of_another_container_cannot_be_written(debian: dagger.Container) -> None:
    first = debian.with_exec(["sh", "-c", "mkdir /d; echo mine > /d/file; chmod 644 /d/file"])
    spoil = ["sh", "-c", "cd $0; echo spoilt > file; chmod 777 file; chown 9 file; touch new", "/d"]
    await first.with_exec(spoil).sync()
    copied = fresh(debian).with_directory("/x", first.directory("/d"))
    await copied.with_exec([*spoil[:-1], "/x"]).sync()
    mounted = fresh(debian).with_mounted_directory("/m", first.directory("/d"))
    await mounted.with_exec([*spoil[:-1], "/m"]).sync()
    file = fresh(debian).with_mounted_file("/d/file", first.file("/d/file"))
    await file.with_exec([*spoil[:-1], "/d"]).sync()
    assert await first.file("/d/file").contents() == "mine\n"
    assert await first.directory("/d").entries() == ["file"]
    assert await output(first, "stat -c '%a %u' /d/file") == "644 0\n"
    assert await copied.file("/x/file").contents() == "mine\n"
    assert await mounted.file("/m/file").contents() == "mine\n"
    assert await file.file("/d/file").contents() == "mine\n"


async def test_read_only_mount_cannot_be_written(
    dag: dagger.Client, python: dagger.Container
) -> None:
    tree = dag.directory().with_new_file("file", "mine")
    ran = python.with_mounted_directory("/m", tree, read_only=True)
    found = await output(ran, "echo x > /m/file; echo x > /m/new; chmod 777 /m/file; cat /m/file")
    assert found.count("Read-only file system") == 3
    assert found.endswith("mine")


@pytest.fixture
def escaping(debian: dagger.Container, host_folder: Path) -> dagger.Container:
    """A container with links to a folder of the machine, made by itself."""
    climb = "../" * 30
    return debian.with_exec(
        ["sh", "-c", f"ln -s {host_folder} /abs; ln -s {climb}{host_folder} /rel; ln -s /abs /two"]
    )


@pytest.mark.parametrize("link", ["/abs", "/rel", "/two", "/proc/1/root/abs"])
async def test_link_does_not_lead_the_engine_s_reading_out(
    escaping: dagger.Container, link: str
) -> None:
    with pytest.raises(dagger.QueryError):
        await escaping.file(f"{link}/private").contents()
    with pytest.raises(dagger.QueryError):
        await escaping.directory(link).entries()


@pytest.mark.parametrize("link", ["/abs", "/rel", "/two"])
async def test_link_does_not_lead_the_engine_s_writing_out(
    dag: dagger.Client, escaping: dagger.Container, host_folder: Path, link: str
) -> None:
    tree = dag.directory().with_new_file("private", "overwritten")
    file = tree.file("private")
    changes = [
        escaping.with_new_file(f"{link}/private", "overwritten"),
        escaping.with_file(f"{link}/private", file),
        escaping.with_directory(link, tree),
        escaping.without_file(f"{link}/private"),
        escaping.without_directory(link + "/"),
        escaping.with_mounted_directory(f"{link}/m", tree).with_exec(["true"]),
        escaping.with_mounted_file(f"{link}/private", file).with_exec(["true"]),
        escaping.with_mounted_secret(f"{link}/s", dag.set_secret("s", "x")).with_exec(["true"]),
        escaping.with_workdir(f"{link}/w").with_exec(["sh", "-c", "echo x > private"]),
        escaping.with_exec(["echo", "overwritten"], redirect_stdout=f"{link}/private"),
        escaping.with_symlink("/etc", f"{link}/link"),
    ]
    for change in changes:
        try:
            await change.sync()
        except dagger.QueryError:
            pass  # refused is as good as done inside
    assert os.listdir(host_folder) == ["private"]
    assert (host_folder / "private").read_text() == "the machine's own"


async def test_archive_does_not_lead_out_of_the_container(
    dag: dagger.Client, debian: dagger.Container, host_folder: Path
) -> None:
    climb = "../" * 30
    pack = f"""
mkdir /t && cd /t && ln -s {host_folder} out && ln -s {climb}{host_folder} up
mkdir /s && echo overwritten > /s/private
tar -cf /a.tar out up && tar -rf /a.tar --transform 's,^s/,out/,' -C / s/private
tar -rf /a.tar --transform 's,^s/,up/,' -C / s/private
tar -rPf /a.tar --transform 's,^s/,{climb}{host_folder}/,' -C / s/private
tar -rPf /a.tar --transform 's,^s/,{host_folder}/,' -C / s/private
"""
    made = debian.with_exec(["sh", "-c", pack]).file("/a.tar")
    dockerfile = "FROM scratch\nADD a.tar /x/\nADD a.tar /\n"
    context = dag.directory().with_file("a.tar", made).with_new_file("Dockerfile", dockerfile)
    for work in (context.docker_build().sync(), dag.container().import_(made).sync()):
        with contextlib.suppress(dagger.QueryError):
            await work
    assert os.listdir(host_folder) == ["private"]
    assert (host_folder / "private").read_text() == "the machine's own"


async def test_layers_are_for_root_alone(dag: dagger.Client, debian: dagger.Container) -> None:
    make = "cp /bin/true /rooted && chmod 4755 /rooted"
    await debian.with_exec(["sh", "-c", make]).sync()
    store = Settings.from_env(os.environ, Path.cwd()).store
    assert store.stat().st_mode & 0o077 == 0
    assert store.stat().st_uid == 0


async def test_export_does_not_follow_links(
    dag: dagger.Client, escaping: dagger.Container, host_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    links = escaping.with_exec(["sh", "-c", f"mkdir /out; ln -s {host_folder} /out/sub"])
    await links.directory("/out").export(str(target))
    assert (target / "sub").is_symlink()
    over = dag.directory().with_new_file("sub/private", "exported")
    await over.export(str(target))
    assert (target / "sub/private").read_text() == "exported"
    assert (host_folder / "private").read_text() == "the machine's own"


async def test_working_directory_cannot_be_an_open_one_of_the_runtime(
    debian: dagger.Container, host_folder: Path
) -> None:
    climb = "../" * 30
    for number in range(3, 12):
        moved = debian.with_workdir(f"/proc/self/fd/{number}")
        try:
            found = await output(moved, f"cat {climb}{host_folder}/private; pwd -P")
        except dagger.QueryError:
            continue
        assert "the machine's own" not in found


@pytest.mark.parametrize(
    "make",
    [
        pytest.param("mknod /out/x p", id="pipe"),
        pytest.param("mknod /out/x c 1 5", id="device"),
        pytest.param(
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>\"/out/x\",Listen=>1)'",
            id="socket",
        ),
    ],
)
async def test_what_is_no_file_is_not_read_as_one(
    dag: dagger.Client, debian: dagger.Container, tmp_path: Path, make: str
) -> None:
    made = debian.with_exec(["sh", "-c", f"mkdir /out; {make}"]).directory("/out")
    for folder in (made, dag.directory().with_directory("/", made)):
        with pytest.raises(dagger.QueryError, match="device, pipe or socket|no such file"):
            await folder.file("x").contents()
        with pytest.raises(dagger.QueryError, match="device, pipe or socket|no such file"):
            await folder.file("x").export(str(tmp_path / "x"))
        await folder.export(str(tmp_path / "folder"))
        assert os.listdir(tmp_path / "folder") == []
