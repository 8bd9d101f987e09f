"""Builds: which stages are built and when, what is kept of them, and what they may bring in."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagger
import pytest

from tests.engine import program
from tests.engine.dockerfile import servers

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

BASE = "debian:bookworm-slim"


def context(dag: dagger.Client, text: str, **files: str) -> dagger.Directory:
    """A context; FRESH in the Dockerfile was never seen before."""
    fresh = uuid.uuid4().hex
    made = dag.directory().with_new_file("Dockerfile", text.replace("FRESH", fresh))
    for name, contents in files.items():
        made = made.with_new_file(name, contents)
    return made


async def said(container: dagger.Container, script: str) -> str:
    """What a script prints in a container."""
    return await container.with_exec(["sh", "-c", script]).stdout()


async def test_stages_that_do_not_need_each_other_are_built_side_by_side(
    dag: dagger.Client,
) -> None:
    stage = (
        f"FROM {BASE} AS s%d\nRUN echo FRESH; date +%%s%%N >/s%d; sleep 5; date +%%s%%N >>/s%d\n"
    )
    stages = "".join(stage % (n, n, n) for n in range(4))
    copies = "".join(f"COPY --from=s{n} /s{n} /times/\n" for n in range(3))
    last = f"FROM {BASE}\n{copies}RUN --mount=from=s3,target=/m cat /times/* /m/s3 >/all\n"
    text = await context(dag, stages + last).docker_build().file("/all").contents()
    times = [int(line) for line in text.split()]
    assert max(times[::2]) < min(times[1::2]), "the last one started when the first had ended"


async def test_a_stage_that_fails_ends_those_beside_it(dag: dagger.Client) -> None:
    text = (
        f"FROM {BASE} AS slow\nRUN echo FRESH; sleep 60\n"
        f"FROM {BASE} AS broken\nRUN echo FRESH; sleep 1; exit 3\n"
        f"FROM {BASE}\nCOPY --from=slow / /a\nCOPY --from=broken / /b\n"
    )
    start = time.monotonic()
    with pytest.raises(dagger.ExecError, match=r"exit code: 3 \(Dockerfile:4: RUN"):
        await context(dag, text).docker_build().sync()
    assert time.monotonic() - start < 50


async def test_the_configuration_of_a_build_that_fails_is_not_told(dag: dagger.Client) -> None:
    text = f"FROM {BASE} AS one\nENV DONE=yes\nFROM one\nRUN echo FRESH && exit 1\n"
    built = context(dag, text)
    assert await built.docker_build(target="one").env_variable("DONE") == "yes"
    with pytest.raises(dagger.QueryError, match="exit code: 1 .Dockerfile:4"):
        await built.docker_build().env_variable("DONE")


async def test_a_change_beside_what_is_copied_runs_nothing_again(dag: dagger.Client) -> None:
    fresh = uuid.uuid4().hex
    text = (
        f"FROM {BASE}\nCOPY app /app\nRUN cat /proc/sys/kernel/random/uuid >/one\n"
        "RUN --mount=source=app/main,target=/m cat /proc/sys/kernel/random/uuid >/two\n"
    )
    stamps = []
    for main, other in ((fresh, "1"), (fresh, "2"), (fresh + "x", "2")):
        built = (
            context(dag, text, **{"app/main": main, "other": other})
            .docker_build()
            .with_exec(["cat", "/one", "/two"])
        )
        stamps.append(await built.stdout())
    assert stamps[0] == stamps[1] != stamps[2]


async def test_a_proxy_is_there_for_commands_and_changes_nothing(dag: dagger.Client) -> None:
    text = (
        f'FROM {BASE}\nRUN echo "$HTTP_PROXY $no_proxy" >/proxy; : FRESH\n'
        "RUN cat /proc/sys/kernel/random/uuid >/stamp\n"
    )
    directory = context(dag, text)
    stamps = []
    for proxy in ("one", "two"):
        arguments = [
            dagger.BuildArg(name="http_proxy", value=f"http://{proxy}.test"),
            dagger.BuildArg(name="NO_PROXY", value="local.test"),
        ]
        built = directory.docker_build(build_args=arguments)
        assert await built.file("/proxy").contents() == "http://one.test local.test\n"
        assert await built.env_variable("HTTP_PROXY") is None
        stamps.append(await built.file("/stamp").contents())
    assert stamps[0] == stamps[1]


async def test_platform_arguments_need_a_line_and_can_be_given(dag: dagger.Client) -> None:
    text = (
        f"FROM --platform=$BUILDPLATFORM {BASE}\n"
        'RUN echo "[$TARGETARCH]" >/a; : FRESH\n'
        "ARG TARGETARCH\nARG TARGETPLATFORM BUILDOS\n"
        'RUN echo "$TARGETARCH $TARGETPLATFORM $BUILDOS" >>/a\n'
    )
    given = [dagger.BuildArg(name="TARGETARCH", value="given")]
    built = context(dag, text).docker_build(build_args=given)
    assert await built.file("/a").contents() == "[]\ngiven linux/amd64 linux\n"


async def test_a_command_without_network_has_loopback_only(dag: dagger.Client) -> None:
    text = (
        f"FROM {BASE}\nRUN --network=none ls /sys/class/net >/none; : FRESH\n"
        "RUN ls /sys/class/net >/some\nRUN --network=default ls /sys/class/net >/default\n"
        "RUN --network=host ls /sys/class/net >/host\n"
    )
    built = context(dag, text).docker_build()
    assert await built.file("/none").contents() == "lo\n"
    for name in ("some", "default", "host"):
        # The machine's own network is nobody's.
        assert await built.file(f"/{name}").contents() == "eth0\nlo\n"


async def test_a_cache_mount_takes_its_first_contents_and_mode_from_the_line(
    dag: dagger.Client,
) -> None:
    key = uuid.uuid4().hex
    text = (
        f"FROM {BASE} AS seed\nRUN mkdir /seed && echo seeded >/seed/file && chown -R 5:6 /seed\n"
        f"FROM {BASE}\n"
        f"RUN --mount=type=cache,id={key},target=/c,from=seed,source=seed "
        "cat /c/file >/a && stat -c '%u:%g' /c/file >>/a && echo more >/c/more\n"
        f"RUN --mount=type=cache,id={key},target=/c,from=seed,source=seed cat /c/more >>/a\n"
        f"RUN --mount=type=cache,id={key}-2,target=/d,mode=0711,uid=7,gid=8 "
        "stat -c '%a %u:%g' /d >>/a\n"
        f"RUN --mount=type=cache,id={key}-2,target=/d,mode=0711,uid=7,gid=8,ro "
        "touch /d/x 2>/dev/null || echo read-only >>/a\n"
    )
    built = context(dag, text).docker_build()
    assert await built.file("/a").contents() == "seeded\n5:6\nmore\n711 7:8\nread-only\n"


async def test_secrets_stay_out_of_the_image_and_of_what_it_says(dag: dagger.Client) -> None:
    value = f"secret-{uuid.uuid4().hex}"
    text = (
        f"FROM {BASE}\nRUN --mount=type=secret,id=pass cat /run/secrets/pass; : FRESH\n"
        "RUN --mount=type=secret,id=pass,env=PASS sh -c 'echo \"$PASS\" >/leak'\n"
    )
    secret = dag.set_secret("pass", value)
    built = context(dag, text).docker_build(secrets=[secret])
    assert await said(built, "cat /leak; test ! -e /etc/pass") == "***\n"
    assert not await built.exists("/run/secrets/pass")


async def test_a_failed_command_shows_no_secret(dag: dagger.Client) -> None:
    value = f"secret-{uuid.uuid4().hex}"
    text = (
        f"FROM {BASE}\nRUN --mount=type=secret,id=p2,env=P echo $P; echo $P >&2; exit 4; : FRESH\n"
    )
    with pytest.raises(dagger.ExecError) as caught:
        await context(dag, text).docker_build(secrets=[dag.set_secret("p2", value)]).sync()
    error = caught.value
    assert (error.exit_code, error.stdout, error.stderr) == (4, "***", "***")
    assert value not in str(error)


async def test_an_agent_is_reached_through_its_socket(dag: dagger.Client, tmp_path: Path) -> None:
    text = (
        "FROM python:3.11-slim\nRUN --mount=type=ssh,uid=3 "
        'python3 -c "import os, socket; s = socket.socket(socket.AF_UNIX); '
        "s.connect(os.environ['SSH_AUTH_SOCK']); print(s.recv(9).decode())\" >/said; : FRESH\n"
        'RUN echo "${SSH_AUTH_SOCK:-none}" >>/said\n'
    )
    with _agent(tmp_path / "agent") as path:
        built = context(dag, text).docker_build(ssh=dag.host().unix_socket(str(path)))
        assert await built.file("/said").contents() == "hello\nnone\n"


@contextmanager
def _agent(path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"hello")

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        thread.join()


@pytest.mark.parametrize(
    "lines",
    [
        f"FROM scratch\nCOPY --from={BASE} /etc/os-release /",
        f"FROM {BASE} AS one\nFROM scratch AS two\nCOPY --from=one /etc/os-release /\n"
        "FROM scratch\nCOPY --from=two / /\nLABEL dev.brewline.stand-in=",
        f"FROM {BASE}\nRUN true\nLABEL dev.brewline.stand-in=none",
    ],
    ids=["copied", "copied twice", "a base"],
)
async def test_an_image_with_files_of_a_stand_in_is_labelled(
    dag: dagger.Client, lines: str
) -> None:
    if not await dag.container().from_(BASE).label("dev.brewline.stand-in"):
        pytest.skip("the image itself is at hand here")
    built = context(dag, f"{lines}\n").docker_build()
    assert await built.label("dev.brewline.stand-in") == BASE
    with pytest.raises(dagger.QueryError, match="stand-in"):
        await built.publish("registry.example.test/x:1")


async def test_an_entrypoint_drops_only_a_command_of_its_base(dag: dagger.Client) -> None:
    text = 'FROM scratch AS base\nCMD ["old"]\nENTRYPOINT ["first"]\nFROM base\n'
    kept = context(dag, text).docker_build()
    assert [await kept.entrypoint(), await kept.default_args()] == [["first"], ["old"]]
    dropped = context(dag, text + 'ENTRYPOINT ["second"]\n').docker_build()
    assert [await dropped.entrypoint(), await dropped.default_args()] == [["second"], []]


async def test_the_image_has_its_configuration(dag: dagger.Client, tmp_path: Path) -> None:
    text = (
        "FROM scratch\nMAINTAINER Ada <ada@b.test>\nCOPY file /\nVOLUME /data\nSTOPSIGNAL SIGINT\n"
        'SHELL ["/sh", "-e"]\nONBUILD RUN true\nUSER 7\nEXPOSE 53/udp\nHEALTHCHECK CMD a b\n'
    )
    await context(dag, text, file="x").docker_build().as_tarball().export(str(tmp_path / "t"))
    with tarfile.open(tmp_path / "t") as tar:
        blobs = [tar.extractfile(m) for m in tar.getmembers() if m.isfile()]
        texts = [blob.read() for blob in blobs if blob is not None]
    (image,) = [json.loads(text) for text in texts if b'"rootfs"' in text]
    assert image["author"] == "Ada <ada@b.test>"
    config = image["config"]
    assert config["Volumes"] == {"/data": {}}
    assert config["ExposedPorts"] == {"53/udp": {}}
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "a b"]
    assert [config[n] for n in ("StopSignal", "Shell", "OnBuild", "User", "Env")] == [
        *("SIGINT", ["/sh", "-e"], ["RUN true"], "7"),
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    ]


async def test_a_long_chain_of_commands_and_of_stages_is_built(dag: dagger.Client) -> None:
    commands = "".join(f"RUN echo {n} >>/n\n" for n in range(40))
    stages = "".join(f"FROM s{n} AS s{n + 1}\nCOPY file /f{n}\n" for n in range(80))
    text = f"FROM {BASE} AS s0\nRUN : FRESH\n{commands}{stages}RUN ls -d /f* | wc -l >>/n\n"
    built = context(dag, text, file="x").docker_build()
    assert (await built.file("/n").contents()).split() == [*map(str, range(40)), "80"]


async def test_no_wildcard_match_is_no_error_and_makes_nothing(dag: dagger.Client) -> None:
    text = "FROM scratch\nCOPY optional-* /out/\nCOPY p[a-r]esent /\nADD no[t]hing-? x\n"
    built = context(dag, text, present="hi").docker_build()
    assert await built.rootfs().glob("**") == ["present"]


async def test_what_is_excluded_is_left_out_of_folders_and_of_what_wildcards_match(
    dag: dagger.Client,
) -> None:
    text = "FROM scratch\nCOPY --exclude=*.md --exclude=d/*.log * /to/\n"
    files = {"a.md": "", "b.txt": "", "d/c.md": "", "d/e.txt": "", "d/d/f.log": ""}
    found = await context(dag, text, **files).docker_build().rootfs().glob("**")
    assert found == ["to/", "to/Dockerfile", "to/b.txt", "to/d/", "to/e.txt"]


async def test_the_form_of_a_destination_says_whether_it_is_a_directory(dag: dagger.Client) -> None:
    text = (
        f"FROM {BASE}\nWORKDIR /w\nCOPY a .\nCOPY a ./b\nCOPY a c/\nCOPY a d/.\nCOPY a ../e\n"
        "COPY <<EOF /w/c\nheredoc\nEOF\nCOPY a /w/c/existing\nRUN ln -s /w/c /link\n"
        "COPY a /link/f\n"
    )
    built = context(dag, text, a="a").docker_build()
    found = await said(built, "cd /; find e w link/ -type f | sort")
    assert found.split() == [
        *("e", "link/EOF", "link/a", "link/existing", "link/f"),
        *("w/a", "w/b", "w/c/EOF", "w/c/a", "w/c/existing", "w/c/f", "w/d/a"),
    ]


async def test_a_context_folder_that_only_its_owner_sees_is_for_everyone_in_the_image(
    dag: dagger.Client, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text(uuid.uuid4().hex)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY . /app\nCOPY --chown=9:9 . /own/app/\n"
    )
    built = dag.host().directory(str(tmp_path)).docker_build()
    modes = await said(built, "stat -c '%a %u:%g' /app /app/file /own /own/app")
    assert modes.splitlines()[1:3] == ["644 0:0", "755 9:9"]


# What comes from elsewhere


async def test_a_url_is_added_under_its_name_and_for_its_owner_only(
    dag: dagger.Client, tmp_path: Path
) -> None:
    (tmp_path / "some file").write_text(uuid.uuid4().hex)
    with servers.files(tmp_path) as server:
        text = (
            f"FROM {BASE}\nADD {server.url}/some%20file?x=1 /here/\n"
            f"ADD --chmod=0644 --chown=3:4 {server.url}/some%20file /renamed\n"
        )
        built = context(dag, text).docker_build()
        modes = await said(built, "stat -c '%n %a %u:%g' /here/* /renamed")
    assert modes == "/here/some file 600 0:0\n/renamed 644 3:4\n"


async def test_a_url_with_a_known_checksum_is_fetched_once(
    dag: dagger.Client, tmp_path: Path
) -> None:
    contents = uuid.uuid4().hex.encode()
    (tmp_path / "file").write_bytes(contents)
    checksum = f"sha256:{hashlib.sha256(contents).hexdigest()}"
    with servers.files(tmp_path) as server:
        for name in ("a", "b"):
            text = f"FROM scratch\nADD --checksum={checksum} {server.url}/file /{name}\n"
            assert await context(dag, text).docker_build().file(f"/{name}").contents()
        assert server.asked == ["/file"]
        wrong = "sha256:" + "0" * 64
        text = f"FROM scratch\nADD --checksum={wrong} {server.url}/file /\n"
        with pytest.raises(dagger.QueryError) as caught:
            await context(dag, text).docker_build().sync()
    assert str(caught.value) == (
        f"{server.url}/file: http checksum mismatch: expected {wrong}, got {checksum} "
        f"(Dockerfile:2: ADD --checksum={wrong} {server.url}/file /)"
    )


async def test_an_archive_from_a_url_is_unpacked_if_asked(
    dag: dagger.Client, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("in/file")
        info.size = 32
        tar.addfile(info, io.BytesIO(uuid.uuid4().hex.encode()))
    with servers.files(tmp_path) as server:
        text = (
            f"FROM scratch\nADD {server.url}/x.tar.gz /packed/\n"
            f"ADD --unpack {server.url}/x.tar.gz /unpacked\n"
        )
        found = await context(dag, text).docker_build().rootfs().glob("**")
    assert found == ["packed/", "packed/x.tar.gz", "unpacked/", "unpacked/in/", "unpacked/in/file"]


async def test_a_server_that_breaks_off_is_told(dag: dagger.Client) -> None:
    with servers.zeros(1, promised=3) as url:
        with pytest.raises(dagger.QueryError) as caught:
            await context(dag, f"FROM scratch\nADD {url}/x /\n").docker_build().sync()
    assert str(caught.value) == (
        f"failed to fetch {url}/x: the server broke off, {2 << 20} bytes are missing "
        f"(Dockerfile:2: ADD {url}/x /)"
    )


async def test_a_server_that_refuses_is_told(dag: dagger.Client, tmp_path: Path) -> None:
    with servers.files(tmp_path) as server:
        with pytest.raises(dagger.QueryError) as caught:
            text = f"FROM scratch\nADD {server.url}/nope /\n"
            await context(dag, text).docker_build().sync()
    assert str(caught.value) == (
        f"{server.url}/nope: invalid response status 404 (Dockerfile:2: ADD {server.url}/nope /)"
    )


def test_a_large_file_is_added_in_little_memory(engine_bin: Path, tmp_path: Path) -> None:
    megabytes = 256
    env = {"BREWLINE_STORE": str(tmp_path / "store")}
    with servers.zeros(megabytes) as url:
        body = f"""
            text = "FROM scratch\\nADD {url}/zeros /zeros\\n"
            built = dag.directory().with_new_file("Dockerfile", text).docker_build()
            print(await built.file("/zeros").size())
            import pathlib
            for each in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    status = (each / "status").read_text()
                    environ = (each / "environ").read_bytes()
                except OSError:
                    continue
                ours = os.environ["BREWLINE_STORE"].encode() in environ
                if ours and each.name != str(os.getpid()):
                    print(status.split("VmHWM:")[1].split()[0])
        """
        done = program.run(body, engine_bin, env=env)
    assert done.returncode == 0, done.stderr
    size, *peaks = [int(line) for line in done.stdout.split()]
    assert size == megabytes << 20
    assert peaks and max(peaks) < 150 << 10, f"{max(peaks)} KiB at most for {megabytes} MiB"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[servers.Server]:
    """A Git repository on a plain web server: two branches, a tag and a folder."""
    work = tmp_path / "work"
    work.mkdir()

    def git(*command: str) -> None:
        identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.test"}
        identity |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.test"}
        subprocess.run(["git", *command], cwd=work, check=True, env={**os.environ, **identity})

    git("init", "--quiet", "--initial-branch=main")
    (work / "docs").mkdir()
    (work / "docs/guide.md").write_text(uuid.uuid4().hex)
    (work / "tool").write_text("#!/bin/sh\n")
    (work / "tool").chmod(0o700)
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v1")
    (work / "later").write_text("later")
    git("add", ".")
    git("commit", "--quiet", "-m", "second")
    git("branch", "other", "v1")
    git("clone", "--quiet", "--bare", ".", str(tmp_path / "served/project.git"))
    subprocess.run(["git", "update-server-info"], cwd=tmp_path / "served/project.git", check=True)
    with servers.files(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize(
    ("suffix", "flags", "expected"),
    [
        ("", "", ["docs/", "docs/guide.md", "later", "tool"]),
        ("#v1", "", ["docs/", "docs/guide.md", "tool"]),
        ("#other:docs", "", ["guide.md"]),
        ("?tag=v1&subdir=docs", "", ["guide.md"]),
        ("?branch=main", "--exclude=docs", ["later", "tool"]),
    ],
)
async def test_a_git_repository_is_added(
    dag: dagger.Client,
    repository: servers.Server,
    suffix: str,
    flags: str,
    expected: list[str],
) -> None:
    text = f"FROM scratch\nADD {flags} {repository.url}/project.git{suffix} /\n"
    assert await context(dag, text).docker_build().rootfs().glob("**") == expected


async def test_a_git_repository_comes_with_plain_modes_and_its_history_if_asked(
    dag: dagger.Client, repository: servers.Server
) -> None:
    text = f"FROM {BASE}\nADD --keep-git-dir=true {repository.url}/project.git /src\n"
    built = context(dag, text).docker_build()
    assert await said(built, "cd /src; stat -c '%a %u' docs docs/guide.md tool .git") == (
        "755 0\n644 0\n755 0\n755 0\n"
    )


async def test_a_commit_that_is_not_the_expected_one_is_refused(
    dag: dagger.Client, repository: servers.Server
) -> None:
    text = f"FROM scratch\nADD --checksum=abcdef0 {repository.url}/project.git#v1 /\n"
    with pytest.raises(dagger.QueryError, match="expected checksum to match abcdef0, got "):
        await context(dag, text).docker_build().sync()
    text = f"FROM scratch\nADD {repository.url}/project.git#nothing /\n"
    with pytest.raises(dagger.QueryError, match=r"(?s)failed to fetch .*\(Dockerfile:2: ADD http"):
        await context(dag, text).docker_build().sync()


async def test_many_builds_at_once_do_not_disturb_each_other(dag: dagger.Client) -> None:
    texts = [f"FROM {BASE}\nRUN echo {n} FRESH >/n\nRUN cat /n >/m\n" for n in range(12)]
    built = [context(dag, text).docker_build().file("/m").contents() for text in texts]
    found = await asyncio.gather(*built)
    assert [text.split()[0] for text in found] == [str(n) for n in range(12)]


async def test_the_minute_of_a_build_is_on_no_directory_that_was_there(dag: dagger.Client) -> None:
    """It would give two builds of the same files different layers, and so different digests."""
    text = (
        f"FROM {BASE} AS source\n"
        "RUN mkdir -p /from/in && touch -d @8 /from/in/file /from/in /from\n"
        f"FROM {BASE}\n"
        "RUN mkdir -p /to/old && touch -d @5 /to/old /to /etc; echo FRESH\n"
        "COPY --from=source /from /to/old\n"
        "COPY --from=source /from /to/new\n"
        "COPY --from=source /from/in/file /to/old/\n"
    )
    built = context(dag, text).docker_build()
    # Seen from outside: a container of its own would have mount points made in /etc.
    outside = dag.container().from_(BASE).with_mounted_directory("/built", built.rootfs())
    names = ("etc", "to/old", "to/old/in", "to/new", "to/new/in")
    times = await said(outside, f"cd /built && stat -c '%Y %n' {' '.join(names)}")
    assert times.splitlines() == [
        f"{time} {name}" for time, name in zip((5, 5, 8, 8, 8), names, strict=True)
    ]
