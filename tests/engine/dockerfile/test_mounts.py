"""The values of RUN --mount."""

from __future__ import annotations

import pytest

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_word
from engine.dockerfile.mounts import Mount, check_mount, parse_mount


def parsed(text: str, **env: str) -> Mount:
    """`text` with `env` for its variables."""
    return parse_mount(text, lambda word: expand_word(word, env))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/t", Mount(target="/t")),
        ("type=cache,target=/c", Mount(type="cache", target="/c", read_only=False)),
        (
            "type=cache,id=k,dst=/c,sharing=Locked,mode=0755,uid=1,gid=2,from=b,src=/s,ro",
            Mount(
                type="cache",
                id="k",
                target="/c",
                sharing="locked",
                mode=0o755,
                uid=1,
                gid=2,
                from_="b",
                source="/s",
                read_only=True,
            ),
        ),
        (
            "type=bind,source=.,destination=/src,rw",
            Mount(source=".", target="/src", read_only=False),
        ),
        ("target=/t,readwrite=false", Mount(target="/t", read_only=True)),
        (
            "type=tmpfs,target=/t,size=64m",
            Mount(type="tmpfs", target="/t", size=64 * 2**20, read_only=False),
        ),
        (
            "type=secret,id=s,env=TOKEN,required",
            Mount(type="secret", id="s", env="TOKEN", required=True),
        ),
        ("type=ssh,required=true,mode=600", Mount(type="ssh", required=True, mode=0o600)),
        ('type=bind,"source=a,b",target=/t', Mount(source="a,b", target="/t")),
    ],
)
def test_fields_become_a_mount(text: str, expected: Mount) -> None:
    assert parsed(text) == expected


def test_values_are_expanded() -> None:
    assert parsed("type=$T,target=${D:-/d}", T="cache").type == "cache"
    assert parsed("type=$T,target=${D:-/d}", T="cache").target == "/d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "failed to parse csv mounts"),
        ('"open', "failed to parse csv mounts"),
        ("type=cach,target=/x", 'unsupported mount type "cach" (did you mean cache?)'),
        ("type=cache,sharing=mine", 'unsupported sharing value "mine"'),
        ("targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("required,type=secret,id=x", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,size=1m", "unexpected key 'size' for mount type 'cache'"),
        ("type=tmpfs,size=lots", "invalid value for size: lots"),
        ("target=/x,ro=maybe", "invalid value for readonly: maybe"),
        ("target=/x,mode=0755", 'mode not allowed for "bind" type mounts'),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=secret", "one of source, target required"),
        ("type=secret,id=x,from=y", "secret mount should not have a from"),
        ("type=secret,id=x,source=y", "both source and id can't be set"),
        ("type=secret,id=x,sharing=shared", "secret mount should not define sharing"),
        ("target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
    ],
)
def test_a_bad_mount_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed(text)
    assert message in caught.value.message


def test_from_takes_no_variable_even_before_anything_is_expanded() -> None:
    with pytest.raises(DockerfileError, match="define alias stage instead"):
        check_mount("type=bind,from=$STAGE,target=/x")
    check_mount("type=bind,from=stage,target=$X")
