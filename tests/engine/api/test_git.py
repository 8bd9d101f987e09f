"""Git repositories on servers: a local one, served over loopback."""

from __future__ import annotations

import base64
import functools
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

_SELF = {
    **{f"GIT_{who}_NAME": "A Name" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass(frozen=True)
class Served:
    """A repository at a URL of git's own protocol, and the commits in it."""

    folder: Path
    url: str
    commits: dict[str, str]


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", *command],
        cwd=folder,
        env={**os.environ, **_SELF},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    """A commit with a file of its own."""
    (folder / name).write_text(f"{name}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", name)
    return git(folder, "rev-parse", "HEAD")


def made(folder: Path) -> dict[str, str]:
    """main: one, two (v1.9.0), three; side, from two: four; tags of several kinds."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commits = {"one": commit(folder, "one")}
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("one")
    commits["two"] = commit(folder, "two")
    git(folder, "tag", "v1.9.0")
    git(folder, "switch", "--quiet", "--create", "side")
    commits["four"] = commit(folder, "four")
    git(folder, "tag", "v1.10.0-rc.1")
    git(folder, "switch", "--quiet", "main")
    commits["three"] = commit(folder, "three")
    git(folder, "tag", "--annotate", "--message", "why", "v1.10.0")
    git(folder, "tag", "other")
    return commits


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("git")
    commits = made(top / "project")
    command = ("git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all")

    class Daemon(BaseRequestHandler):
        def handle(self) -> None:
            subprocess.run(
                [*command, f"--base-path={top}", str(top)],
                stdin=self.request,
                stdout=self.request,
                stderr=subprocess.DEVNULL,
                check=False,
            )

    # `git daemon` itself cannot be asked for any port that is free.
    with ThreadingTCPServer(("127.0.0.1", 0), Daemon) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            url = f"git://127.0.0.1:{server.server_address[1]}/project"
            yield Served(top / "project", url, commits)
        finally:
            server.shutdown()


async def test_a_ref_has_a_full_name_and_a_commit(dag: dagger.Client, served: Served) -> None:
    repository = dag.git(served.url)
    refs = {
        "head": repository.head(),
        "branch": repository.branch("side"),
        "full branch": repository.branch("refs/heads/side"),
        "tag": repository.tag("other"),
        "annotated tag": repository.tag("v1.10.0"),
        "commit": repository.commit(served.commits["one"]),
        "ref of a branch": repository.ref("side"),
        "ref of a tag": repository.ref("tags/v1.9.0"),
    }
    found = {what: (await ref.ref(), await ref.commit()) for what, ref in refs.items()}
    commits = served.commits
    assert found == {
        "head": ("refs/heads/main", commits["three"]),
        "branch": ("refs/heads/side", commits["four"]),
        "full branch": ("refs/heads/side", commits["four"]),
        "tag": ("refs/tags/other", commits["three"]),
        "annotated tag": ("refs/tags/v1.10.0", commits["three"]),
        "commit": (commits["one"], commits["one"]),
        "ref of a branch": ("refs/heads/side", commits["four"]),
        "ref of a tag": ("refs/tags/v1.9.0", commits["two"]),
    }
    assert await repository.url() == served.url


async def test_refs_are_listed_by_pattern(dag: dagger.Client, served: Served) -> None:
    repository = dag.git(served.url)
    assert await repository.branches() == ["main", "side"]
    assert await repository.branches(patterns=["s*"]) == ["side"]
    assert await repository.tags() == ["other", "v1.10.0", "v1.10.0-rc.1", "v1.9.0"]
    assert await repository.tags(patterns=["refs/tags/v1.1*", "other"]) == [
        "other",
        "v1.10.0",
        "v1.10.0-rc.1",
    ]
    assert await repository.latest_version().ref() == "refs/tags/v1.10.0"


async def test_a_tree_holds_the_files_of_its_commit(
    dag: dagger.Client, base: dagger.Container, served: Served
) -> None:
    tree = dag.git(served.url).tag("v1.9.0").tree(discard_git_dir=True)
    assert await tree.entries() == ["link", "one", "tool", "two"]
    look = ["sh", "-c", "cat link; stat -c '%a %u:%g %Y' tool one"]
    shown = await base.with_directory("/w", tree).with_workdir("/w").with_exec(look).stdout()
    assert shown.splitlines() == ["one", "755 0:0 1", "644 0:0 1"]


async def test_a_tree_has_the_history_that_is_asked_for(
    dag: dagger.Client, served: Served, tmp_path: Path
) -> None:
    head = dag.git(served.url).head()

    async def history(name: str, tree: dagger.Directory) -> tuple[int, str, list[str]]:
        folder = tmp_path / name
        await tree.export(str(folder))
        assert git(folder, "status", "--porcelain") == ""
        assert git(folder, "rev-parse", "HEAD") == served.commits["three"]
        assert git(folder, "remote", "get-url", "origin") == served.url
        count = int(git(folder, "rev-list", "--count", "HEAD"))
        return count, git(folder, "branch", "--show-current"), git(folder, "tag").split()

    assert await history("one", head.tree()) == (1, "main", [])
    assert await history("two", head.tree(depth=2)) == (2, "main", [])
    assert await history("all", head.tree(depth=0)) == (3, "main", [])
    count, _, tags = await history("tags", head.tree(include_tags=True))
    assert "v1.9.0" in tags


async def test_a_tree_without_git_is_the_default_of_a_repository_asked_so(
    dag: dagger.Client, served: Served
) -> None:
    plain = dag.git(served.url, keep_git_dir=False).head().tree()
    assert ".git/" not in await plain.entries()


async def test_an_equal_commit_is_equal_content(dag: dagger.Client, served: Served) -> None:
    repository = dag.git(served.url)
    by_tag = repository.tag("other").tree(discard_git_dir=True)
    by_name = repository.commit(served.commits["three"]).tree(discard_git_dir=True)
    assert await by_tag.digest() == await by_name.digest()


async def test_commits_have_a_common_ancestor(dag: dagger.Client, served: Served) -> None:
    repository = dag.git(served.url)
    found = repository.branch("main").common_ancestor(repository.branch("side"))
    assert await found.commit() == served.commits["two"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("branch", 'repository does not contain ref "refs/heads/none"'),
        ("tag", 'repository does not contain ref "refs/tags/none"'),
        ("ref", 'repository does not contain ref "none"'),
        ("commit", 'invalid commit SHA: "none"'),
    ],
)
async def test_what_is_not_there_is_named(
    dag: dagger.Client, served: Served, name: str, message: str
) -> None:
    with pytest.raises(dagger.QueryError, match=message):
        await getattr(dag.git(served.url), name)("none").commit()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("git://127.0.0.1:9/none", "failed to read git repository git://127.0.0.1:9/none: unable"),
        ("file:///etc", 'failed to parse Git URL: invalid protocol "file"'),
        ("ext::sh -c id", "failed to read git repository"),
        ("--upload-pack=id", "failed to parse Git URL"),
    ],
)
async def test_a_repository_that_cannot_be_read_is_named(
    dag: dagger.Client, url: str, message: str
) -> None:
    with pytest.raises(dagger.QueryError, match=message):
        await dag.git(url).head().commit()


async def test_a_commit_that_nobody_has_fails(dag: dagger.Client, served: Served) -> None:
    with pytest.raises(dagger.QueryError, match="failed to read git repository"):
        await dag.git(served.url).commit("0" * 40).tree().sync()


async def test_an_address_leads_into_a_repository(dag: dagger.Client, served: Served) -> None:
    assert await dag.address(served.url).git_repository().branches() == ["main", "side"]
    assert await dag.address(f"{served.url}#side").git_ref().commit() == served.commits["four"]
    assert await dag.address(f"{served.url}#side:four").file().contents() == "four\n"
    assert "two" in await dag.address(f"{served.url}#v1.9.0").directory().entries()
    with pytest.raises(dagger.QueryError, match="cannot contain ref"):
        await dag.address(f"{served.url}#side").git_repository().branches()


class _Private(SimpleHTTPRequestHandler):
    """Serves files, as servers without git do, to who has a token."""

    def do_GET(self) -> None:
        pair = base64.b64encode(b"x-access-token:git-token").decode()
        if self.headers.get("Authorization") in (f"basic {pair}", "Bearer git-header"):
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is pytest's."""


@pytest.fixture(scope="module")
def private(served: Served) -> Iterator[str]:
    """The URL of the repository on a server of files that asks for a token."""
    git(served.folder, "update-server-info")
    handler = functools.partial(_Private, directory=str(served.folder.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/project/.git"
        listening.shutdown()
        thread.join()


async def test_a_private_repository_is_read_with_a_secret(
    dag: dagger.Client, private: str, served: Served
) -> None:
    token = dag.set_secret("git-token", "git-token")
    header = dag.set_secret("git-header", "Bearer git-header")
    tree = dag.git(private, http_auth_token=token).branch("side").tree(discard_git_dir=True)
    assert await tree.file("four").contents() == "four\n"
    by_header = dag.git(private, http_auth_header=header)
    assert await by_header.head().commit() == served.commits["three"]
    other = dag.set_secret("git-other", "git-other")
    for refused in (dag.git(private), dag.git(private, http_auth_token=other)):
        with pytest.raises(dagger.QueryError, match="failed to read git repository") as raised:
            await refused.head().commit()
        assert "git-other" not in str(raised.value)


async def test_the_secret_of_a_repository_is_not_in_its_tree(
    dag: dagger.Client, base: dagger.Container, private: str
) -> None:
    token = dag.set_secret("git-token", "git-token")
    tree = dag.git(private, http_auth_token=token).head().tree()
    pair = base64.b64encode(b"x-access-token:git-token").decode()
    look = ["sh", "-c", f"grep -r -e git-token -e {pair} /w || echo nowhere"]
    assert await base.with_directory("/w", tree).with_exec(look).stdout() == "nowhere\n"


async def test_a_repository_is_read_from_a_service(
    dag: dagger.Client, base: dagger.Container, served: Served
) -> None:
    git(served.folder, "update-server-info")
    files = base.with_directory("/srv/project", dag.host().directory(str(served.folder)))
    server = files.with_workdir("/srv").with_exposed_port(8124)
    service = server.as_service(args=["python3", "-m", "http.server", "8124"])
    url = f"{await service.endpoint(scheme='http')}/project/.git"
    repository = dag.git(url, experimental_service_host=service)
    assert await repository.url() == url
    assert await repository.tag("v1.9.0").commit() == served.commits["two"]
    tree = repository.branch("side").tree()
    assert await tree.file("four").contents() == "four\n"
    assert url in await tree.file(".git/config").contents()
