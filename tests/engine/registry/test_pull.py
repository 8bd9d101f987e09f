"""Images fetched from a true registry."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.engine.registry import images
from tests.engine.registry.conftest import PASSWORD
from tests.engine.registry.images import failure, printed

pytestmark = pytest.mark.engine


ROUND = """
await fresh().with_new_file("/f", "there and back").publish(R + "/a/b:v1")
print(await dag.container().from_(R + "/a/b:v1").file("/f").contents())
"""


def test_a_private_authority_is_believed_where_it_is_named(
    engine_bin: Path, env: dict[str, str], secure: str, authority: Path
) -> None:
    env = {**env, "R": secure, "SSL_CERT_FILE": str(authority)}
    assert printed(ROUND, engine_bin, env) == ["there and back"]


def test_a_stranger_s_certificate_is_refused_with_the_cure(
    engine_bin: Path, env: dict[str, str], secure: str
) -> None:
    said = failure(ROUND, engine_bin, {**env, "R": secure})
    assert f"the certificate of {secure} is not trusted" in said
    assert f"/etc/docker/certs.d/{secure}/ca.crt" in said


def logged_in(env: dict[str, str], address: str, password: str) -> None:
    """Leave what `docker login` would."""
    auth = base64.b64encode(f"alice:{password}".encode()).decode()
    folder = Path(env["DOCKER_CONFIG"])
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))


def test_the_docker_configuration_logs_in(
    engine_bin: Path, env: dict[str, str], guarded: str
) -> None:
    logged_in(env, guarded, PASSWORD)
    assert printed(ROUND, engine_bin, {**env, "R": guarded}) == ["there and back"]


def test_a_wrong_password_is_told(engine_bin: Path, env: dict[str, str], guarded: str) -> None:
    logged_in(env, guarded, "wr0ng")
    said = failure(
        'await dag.container().from_(R + "/a/b").sync()', engine_bin, {**env, "R": guarded}
    )
    assert f"{guarded} does not accept the user name and password" in said
    assert "wr0ng" not in said


def test_a_program_logs_in_for_a_container(
    engine_bin: Path, env: dict[str, str], guarded: str
) -> None:
    body = """
password = dag.set_secret("password", os.environ["PASSWORD"])
def known(container):
    return container.with_registry_auth(R + "/a/b:v1", "alice", password)

await known(fresh().with_new_file("/f", "x")).publish(R + "/a/b:v1")
print(await known(dag.container()).from_(R + "/a/b:v1").file("/f").contents())
"""
    env = {**env, "R": guarded, "PASSWORD": PASSWORD}
    assert printed(body, engine_bin, env) == ["x"]


def test_a_pin_holds_when_the_tag_moves(engine_bin: Path, env: dict[str, str], plain: str) -> None:
    body = """
old = await fresh().with_new_file("/f", "old").publish(R + "/a/b:v1")
await fresh().with_new_file("/f", "new").publish(R + "/a/b:v1")
for ref in (R + "/a/b:v1", old, old.replace(":v1@", "@")):
    print(await dag.container().from_(ref).file("/f").contents())
"""
    assert printed(body, engine_bin, {**env, "R": plain}) == ["new", "old", "old"]


@pytest.mark.parametrize("name", ["a/b:none", "none/such:v1", f"a/b@sha256:{'0' * 64}"])
def test_what_is_not_there_is_told(
    engine_bin: Path, env: dict[str, str], plain: str, name: str
) -> None:
    body = f'await dag.container().from_(R + "/{name}").sync()'
    said = failure(body, engine_bin, {**env, "R": plain})
    assert said.endswith(f'failed to resolve image "{plain}/{name}": {plain}/{name}: not found')


def test_a_layer_of_another_digest_is_refused_and_not_kept(
    engine_bin: Path,
    env: dict[str, str],
    elsewhere: dict[str, str],
    plain: str,
    tmp_path: Path,
) -> None:
    env = {**env, "R": plain}
    printed('await fresh().publish(R + "/a/b:v1")', engine_bin, env)
    env |= elsewhere
    layer = images.manifest(f"{plain}/a/b:v1")["layers"][-1]["digest"]
    file = images.blob(tmp_path, layer)
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"?")
    pull = 'print(await dag.container().from_(R + "/a/b:v1").rootfs().entries())'
    assert f"not {layer}" in failure(pull, engine_bin, env)
    file.write_bytes(good)
    assert printed(pull, engine_bin, env) == ["['nonce']"]


def test_a_layer_is_fetched_once_by_images_side_by_side(
    engine_bin: Path,
    env: dict[str, str],
    elsewhere: dict[str, str],
    plain: str,
    tmp_path: Path,
) -> None:
    env = {**env, "R": plain}
    body = """
for name in "abcd":
    await fresh().with_new_file("/f", name).publish(f"{R}/a/{name}:v1")
"""
    printed(body, engine_bin, env)
    env |= elsewhere
    body = """
async with anyio.create_task_group() as group:
    for name in "abcd":
        group.start_soon(dag.container().from_(f"{R}/a/{name}:v1").sync)
"""
    printed(body, engine_bin, env)
    # Of each of the four a configuration and its own layer, and the one that they share.
    assert images.requests(tmp_path, images.FETCHED, 9) == 9
    printed(body, engine_bin, env)
    assert images.requests(tmp_path, images.FETCHED, 9) == 9


def test_a_mirror_stands_in_for_a_registry(
    engine_bin: Path, env: dict[str, str], plain: str, tmp_path: Path
) -> None:
    printed(ROUND, engine_bin, {**env, "R": plain})
    settings = tmp_path / "registries.conf"
    settings.write_text(
        '[[registry]]\nprefix = "upstream.invalid"\nlocation = "upstream.invalid"\n'
        '[[registry.mirror]]\nlocation = "127.0.0.1:9"\n'
        f'[[registry.mirror]]\nlocation = "{plain}/a"\n'
    )
    env = {**env, "R": "upstream.invalid", "CONTAINERS_REGISTRIES_CONF": str(settings)}
    body = """
image = dag.container().from_(R + "/b:v1")
print(await image.file("/f").contents(), (await image.image_ref()).partition("@")[0])
"""
    assert printed(body, engine_bin, env) == ["there and back upstream.invalid/b:v1"]
    said = failure('await dag.container().from_(R + "/none").sync()', engine_bin, env)
    assert "upstream.invalid" in said and "there is no stand-in" in said


def test_an_image_without_layers_is_an_image(
    engine_bin: Path, env: dict[str, str], plain: str
) -> None:
    body = """
await dag.container().with_label("a", "b").publish(R + "/a/b:v1")
print(await dag.container().from_(R + "/a/b:v1").label("a"))
"""
    assert printed(body, engine_bin, {**env, "R": plain}) == ["b"]
