"""What is said of Dockerfiles that cannot be built: the reason, the file, the line, the text."""

from __future__ import annotations

import dagger
import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

BASE = "FROM debian:bookworm-slim"
CONVERT = "failed to convert Dockerfile to LLB: "
RUN = "failed to clone built container state: "
NO_USER = "unable to find user {}: no matching entries in passwd file "


def context(dag: dagger.Client, text: str) -> dagger.Directory:
    """A context with a few files and a Dockerfile."""
    return (
        dag.directory()
        .with_new_file("Dockerfile", text)
        .with_new_file("a.txt", "a")
        .with_new_file("b.txt", "b")
        .with_new_file("folder/c.txt", "c")
        .with_new_file("hidden/d.txt", "d")
        .with_new_file("Hidden.dockerignore", "hidden\n")
        .with_new_file(".dockerignore", "hidden\n")
        .with_new_file("broken.tar.gz", "\x1f\x8b not really")
    )


CASES = {
    # Reading the file
    "an unknown instruction": (
        f"{BASE}\nRUM true\n",
        CONVERT + "dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?) "
        "(Dockerfile:2: RUM true)",
    ),
    "an empty file": ("", CONVERT + "file with no instructions (Dockerfile)"),
    "an instruction before FROM": (
        "\nENV A=1\n" + BASE,
        CONVERT + "no build stage in current context (Dockerfile:2: ENV A=1)",
    ),
    "a heredoc that does not end": (
        f"{BASE}\nRUN <<EOF\ntrue\n",
        CONVERT + "unterminated heredoc (Dockerfile:2: RUN <<EOF)",
    ),
    "a frontend of somebody else": (
        "# syntax=example.test/other:1\n" + BASE,
        CONVERT + 'syntax frontend "example.test/other:1" is unsupported: only docker/dockerfile '
        "is built in (Dockerfile:1: # syntax=example.test/other:1)",
    ),
    "a check option that is none": (
        "# escape=`\n# check=stop=all\n" + BASE,
        CONVERT + 'failed to parse check options: invalid check option "stop" '
        "(Dockerfile:2: # check=stop=all)",
    ),
    "a check that is no boolean": (
        "# check=error=maybe\n" + BASE,
        CONVERT + "failed to parse check options: failed to parse check option "
        '"error=maybe" (Dockerfile:1: # check=error=maybe)',
    ),
    # Stages
    "a base that expands to nothing": (
        "ARG BASE\nFROM ${BASE}\n",
        CONVERT + "base name (${BASE}) should not be blank (Dockerfile:2: FROM ${BASE})",
    ),
    "a platform that expands to nothing": (
        "FROM --platform=$NONE scratch\n",
        CONVERT + "empty platform value from expression $NONE "
        "(Dockerfile:1: FROM --platform=$NONE scratch)",
    ),
    "a platform that is none": (
        "FROM --platform=a/b/c/d scratch\n",
        CONVERT + 'failed to parse platform "a/b/c/d": give os/arch '
        "(Dockerfile:1: FROM --platform=a/b/c/d scratch)",
    ),
    "a required argument in FROM": (
        "FROM ${TAG:?unset}\n",
        CONVERT + 'failed to process "${TAG:?unset}": TAG: unset '
        "(Dockerfile:1: FROM ${TAG:?unset})",
    ),
    "a default of a global argument": (
        "ARG A=${B\nFROM scratch\n",
        CONVERT + "failed to process \"${B\": syntax error: missing '}' (Dockerfile:1: ARG A=${B)",
    ),
    "an index of no stage": (
        "FROM scratch\nCOPY --from=7 /a /b\n",
        CONVERT + "invalid stage index 7 (Dockerfile:2: COPY --from=7 /a /b)",
    ),
    "a copy from a later stage": (
        "FROM scratch AS one\nCOPY --from=two /a /b\nFROM one AS two\n",
        CONVERT + 'cannot copy from stage "two", it needs to be defined before current stage '
        '"one" (Dockerfile:2: COPY --from=two /a /b)',
    ),
    "a copy from the stage itself": (
        "FROM scratch\nCOPY --from=0 /a /b\n",
        CONVERT + 'cannot copy from stage "0", it needs to be defined before current stage '
        '"stage-0" (Dockerfile:2: COPY --from=0 /a /b)',
    ),
    "a mount from a later stage": (
        "FROM scratch\nRUN --mount=from=two,target=/m true\nFROM scratch AS two\nFROM scratch\n"
        "COPY --from=0 / /\n",
        CONVERT + 'cannot copy from stage "two", it needs to be defined before current stage '
        '"stage-0" (Dockerfile:2: RUN --mount=from=two,target=/m true)',
    ),
    "a bad trigger": (
        "FROM scratch AS base\nONBUILD COPY --from=nope.invalid/x:1 a\nFROM base\n",
        CONVERT + "dockerfile parse error on line 3: COPY requires at least two arguments, but "
        "only one was provided. Destination could not be determined (Dockerfile:3: COPY "
        "--from=nope.invalid/x:1 a)",
    ),
    # Words
    "a variable that must be set": (
        "FROM scratch\nENV A=${B:?needed}\n",
        CONVERT + 'failed to process "${B:?needed}": B: needed '
        "(Dockerfile:2: ENV A=${B:?needed})",
    ),
    "a variable in --from": (
        "FROM scratch AS one\nFROM scratch\nCOPY --from=$ONE /a /b\n",
        CONVERT + "variable expansion is not supported for --from, define a new stage with FROM "
        "using ARG from global scope as a workaround (Dockerfile:3: COPY --from=$ONE /a /b)",
    ),
    "a port that is none": (
        "FROM scratch\nEXPOSE 80 http\n",
        CONVERT + "invalid containerPort: http (Dockerfile:2: EXPOSE 80 http)",
    ),
    "a port that is too high": (
        "FROM scratch\nEXPOSE 65536\n",
        CONVERT + "invalid containerPort: 65536 (Dockerfile:2: EXPOSE 65536)",
    ),
    "a range of ports that runs backwards": (
        "FROM scratch\nEXPOSE 90-80/udp\n",
        CONVERT + "invalid containerPort: 90-80 (Dockerfile:2: EXPOSE 90-80/udp)",
    ),
    "a protocol that is none": (
        "FROM scratch\nEXPOSE 80/http\n",
        CONVERT + 'invalid port: "80/http": invalid proto: http (Dockerfile:2: EXPOSE 80/http)',
    ),
    "a signal that is none": (
        "FROM scratch\nSTOPSIGNAL SIGSTOPIT\n",
        CONVERT + "invalid signal: SIGSTOPIT (Dockerfile:2: STOPSIGNAL SIGSTOPIT)",
    ),
    # COPY and ADD
    "a mode that is too high": (
        "FROM scratch\nCOPY --chmod=10000 a.txt /\n",
        CONVERT + "invalid chmod parameter: '10000'. it should be octal string and between 0 and "
        "07777, or symbolic as in u=rwX,go=rX (Dockerfile:2: COPY --chmod=10000 a.txt /)",
    ),
    "a mode that is none": (
        "FROM scratch\nCOPY --chmod=u+y a.txt /\n",
        CONVERT + "invalid chmod parameter: 'u+y'. it should be octal string and between 0 and "
        "07777, or symbolic as in u=rwX,go=rX (Dockerfile:2: COPY --chmod=u+y a.txt /)",
    ),
    "a URL for COPY": (
        "FROM scratch\nCOPY https://example.test/a /\n",
        CONVERT + "source can't be a URL for COPY (Dockerfile:2: COPY https://example.test/a /)",
    ),
    "a repository for COPY": (
        "FROM scratch\nCOPY git@example.test:a/b /\n",
        CONVERT + "source can't be a git ref for COPY (Dockerfile:2: COPY git@example.test:a/b /)",
    ),
    "a checksum of a local file": (
        "FROM scratch\nADD --checksum=sha256:00 a.txt /\n",
        CONVERT + "checksum requires HTTP(S) or Git sources "
        "(Dockerfile:2: ADD --checksum=sha256:00 a.txt /)",
    ),
    "a checksum of several files": (
        "FROM scratch\nADD --checksum=sha256:00 http://x.test/a http://x.test/b /\n",
        CONVERT + "checksum can't be specified for multiple sources (Dockerfile:2: ADD "
        "--checksum=sha256:00 http://x.test/a http://x.test/b /)",
    ),
    "a checksum of an unknown kind": (
        "FROM scratch\nADD --checksum=md5:00 http://x.test/a /\n",
        CONVERT + "invalid checksum digest format: md5:00: give sha256:… "
        "(Dockerfile:2: ADD --checksum=md5:00 http://x.test/a /)",
    ),
    "a repository with a query that is none": (
        "FROM scratch\nADD https://x.test/a.git?depth=1 /\n",
        CONVERT + 'unexpected query "depth" (Dockerfile:2: ADD https://x.test/a.git?depth=1 /)',
    ),
    "a file that is not there": (
        "FROM scratch\n\nCOPY a.txt \\\n  nope.txt /to/\n",
        "failed to compute cache key: failed to calculate checksum of ref: "
        '"/nope.txt": not found (Dockerfile:3: COPY a.txt   nope.txt /to/)',
    ),
    "a file that is ignored": (
        "FROM scratch\nCOPY hidden/d.txt /\n",
        "failed to compute cache key: failed to calculate checksum of ref: "
        '"/hidden/d.txt": not found (Dockerfile:2: COPY hidden/d.txt /)',
    ),
    "a parent of a file that is not there": (
        "FROM scratch\nCOPY --parents folder/./nope.txt /\n",
        "failed to compute cache key: failed to calculate checksum of ref: "
        '"/folder/nope.txt": not found (Dockerfile:2: COPY --parents folder/./nope.txt /)',
    ),
    "several files to one": (
        "FROM scratch\nCOPY a.txt b.txt /one\n",
        "When using COPY with more than one source file, the destination must be a directory "
        'and end with a /: "/one" (Dockerfile:2: COPY a.txt b.txt /one)',
    ),
    "an owner that is not there": (
        f"{BASE}\nCOPY --chown=nobody2:root a.txt /\n",
        "invalid user nobody2:root: " + NO_USER.format("nobody2") + ""
        "(Dockerfile:2: COPY --chown=nobody2:root a.txt /)",
    ),
    "a name for an owner where nobody has names": (
        "FROM scratch\nCOPY --chown=app a.txt /\n",
        "invalid user app: " + NO_USER.format("app") + "(Dockerfile:2: COPY --chown=app a.txt /)",
    ),
    "a file in the place of a folder": (
        f"{BASE}\nCOPY a.txt /file\nCOPY b.txt /file/deeper/\n",
        "cannot copy to /file/deeper/: /file is no directory "
        "(Dockerfile:3: COPY b.txt /file/deeper/)",
    ),
    "a pattern that is none": (
        "FROM scratch\nCOPY --exclude=[ folder /\n",
        "syntax error in pattern '[': check its brackets and escapes "
        "(Dockerfile:2: COPY --exclude=[ folder /)",
    ),
    # WORKDIR and USER
    "a folder for a user that is not there": (
        f"{BASE}\nUSER ghost\nWORKDIR /ghost\n",
        "invalid user ghost: " + NO_USER.format("ghost") + "(Dockerfile:3: WORKDIR /ghost)",
    ),
    "a command of a user that is not there": (
        f"{BASE}\nUSER ghost\nRUN true\n",
        RUN + "get user: " + NO_USER.format("ghost") + "(Dockerfile:3: RUN true)",
    ),
    "a folder on a file": (
        f"{BASE}\nWORKDIR /etc/passwd/x\n",
        "mkdir /etc/passwd/x: not a directory (Dockerfile:2: WORKDIR /etc/passwd/x)",
    ),
    # RUN
    "a command that fails": (
        f"{BASE}\nRUN true\nRUN echo out && \\\n    exit 7\nRUN true\n",
        RUN + "exit code: 7 (Dockerfile:3: RUN echo out &&     exit 7)",
    ),
    "a command that fails in an earlier stage": (
        f"{BASE} AS one\nRUN echo one && exit 5\n{BASE}\nRUN true\nCOPY --from=one /x /x\n",
        RUN + "exit code: 5 (Dockerfile:2: RUN echo one && exit 5)",
    ),
    "a program that is not there": (
        f'{BASE}\nRUN ["/no/such/program"]\n',
        RUN + 'exit code: 1 (Dockerfile:2: RUN ["/no/such/program"])',
    ),
    "a mount of what is not there": (
        f"{BASE}\nRUN --mount=source=nope,target=/m true\n",
        'failed to calculate checksum of ref: "/nope": not found '
        "(Dockerfile:2: RUN --mount=source=nope,target=/m true)",
    ),
    "a mount over everything": (
        f"{BASE}\nRUN --mount=type=tmpfs,target=/ true\n",
        CONVERT + 'invalid mount target "/" (Dockerfile:2: RUN --mount=type=tmpfs,target=/ true)',
    ),
    "a mount of a kind that is none": (
        f"{BASE}\nARG KIND=voume\nRUN --mount=type=$KIND,target=/m true\n",
        CONVERT + 'unsupported mount type "voume" '
        "(Dockerfile:3: RUN --mount=type=$KIND,target=/m true)",
    ),
    "a secret that is required": (
        f"{BASE}\nRUN --mount=type=secret,id=pass,required cat /run/secrets/pass\n",
        CONVERT + 'secret "pass" is required but no secret mappings were provided: '
        "pass it to docker_build(secrets=[...]) "
        "(Dockerfile:2: RUN --mount=type=secret,id=pass,required cat /run/secrets/pass)",
    ),
    "an agent that is required": (
        f"{BASE}\nRUN --mount=type=ssh,required true\n",
        CONVERT + 'ssh mount "default" is required but no ssh socket mappings were '
        "provided: pass it to docker_build(ssh=...) "
        "(Dockerfile:2: RUN --mount=type=ssh,required true)",
    ),
    "all capabilities": (
        f"{BASE}\nRUN --security=insecure true\n",
        CONVERT + "security.insecure is not allowed: a Dockerfile cannot give itself all "
        "capabilities; use with_exec(insecure_root_capabilities=True) in the program "
        "(Dockerfile:2: RUN --security=insecure true)",
    ),
    "a device": (
        f"{BASE}\nRUN --device=vendor.com/gpu true\n",
        CONVERT + "RUN --device is not supported: no device is given to containers "
        "(Dockerfile:2: RUN --device=vendor.com/gpu true)",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_dockerfile_is_told_with_its_reason_and_place(
    dag: dagger.Client, name: str
) -> None:
    text, expected = CASES[name]
    with pytest.raises(dagger.QueryError) as caught:
        await context(dag, text).docker_build().sync()
    assert str(caught.value) == expected
