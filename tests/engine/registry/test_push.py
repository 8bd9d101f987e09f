"""Images sent to a true registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.oci.image import History, ImageConfig
from engine.oci.layer import pack
from engine.oci.layout import Image, LayerFile, write_archive
from tests.engine.registry import images
from tests.engine.registry.images import failure, printed

pytestmark = pytest.mark.engine


@pytest.fixture
def env(env: dict[str, str], plain: str) -> dict[str, str]:
    return {**env, "R": plain}


CONFIGURED = """
made = (
    fresh().with_env_variable("A", "x=y").with_env_variable("B", "").with_user("1000:1000")
    .with_workdir("/tmp").with_entrypoint(["/bin/sh", "-c"]).with_default_args(["ls"])
    .with_label("l", "v").with_exposed_port(80)
    .with_exposed_port(53, protocol=dagger.NetworkProtocol.UDP)
    .with_annotation("org.example.a", "b")
    .with_docker_healthcheck(["true"], interval="5s", retries=2)
)
print(await made.publish(R + "/a/b:v1"))
"""


def test_an_image_is_complete(engine_bin: Path, env: dict[str, str]) -> None:
    (reference,) = printed(CONFIGURED, engine_bin, env)
    name, _, digest = reference.partition("@")
    assert name == f"{env['R']}/a/b:v1"
    assert images.manifest(reference) == images.manifest(name)
    assert images.manifest(name)["annotations"] == {"org.example.a": "b"}
    config = images.config(reference)
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["config"] == {
        "Env": ["A=x=y", "B="],
        "User": "1000:1000",
        "WorkingDir": "/tmp",
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["ls"],
        "Labels": {"l": "v"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5 * 10**9, "Retries": 2},
    }
    assert config["created"]
    layers = len(images.manifest(name)["layers"])
    assert len(config["rootfs"]["diff_ids"]) == len(config["history"]) == layers > 0


def test_only_what_the_registry_lacks_is_sent(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    # A layer and a configuration; nothing; those that are new; nothing, by a mount.
    for body, sent in (
        ('await fresh().publish(R + "/a/b:v1")', 2),
        ('await fresh().publish(R + "/a/b:v1")', 2),
        ('await fresh().with_new_file("/new", "x").publish(R + "/a/b:v2")', 4),
        ('await fresh().publish(R + "/c/d:v1")', 4),
    ):
        printed(body, engine_bin, env)
        assert images.requests(tmp_path, images.SENT, sent) == sent
    assert images.manifest(f"{env['R']}/c/d:v1") == images.manifest(f"{env['R']}/a/b:v1")


def test_a_layer_that_was_sent_is_not_fetched_again(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    body = """
where = await fresh().with_new_file("/f", "x").with_new_file("/g", "y").publish(R + "/a/b:v1")
print(await dag.container().from_(where).without_file("/g").rootfs().entries())
"""
    assert printed(body, engine_bin, env) == ["['f', 'nonce']"]
    # The configuration alone.
    assert images.requests(tmp_path, images.FETCHED, 1) == 1


def test_layers_of_a_pulled_image_stay_what_they_are(
    engine_bin: Path, env: dict[str, str], elsewhere: dict[str, str]
) -> None:
    body = 'print(await fresh().with_new_file("/f", "x").publish(R + "/a/b:v1"))'
    (below,) = printed(body, engine_bin, env)
    env = {**env, **elsewhere, "BELOW": below}
    body = 'base = dag.container().from_(os.environ["BELOW"])\n'
    body += 'print(await base.with_new_file("/g", "x").publish(R + "/c/d:v1"))'
    (above,) = printed(body, engine_bin, env)
    old, new = images.manifest(below)["layers"], images.manifest(above)["layers"]
    assert len(new) == len(old) + 1 and new[: len(old)] == old


def test_the_history_of_an_image_below_is_kept(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    steps = (
        History(created="2024-01-02T03:04:05Z", created_by="COPY . /"),
        History(created="2024-01-02T03:04:05Z", created_by="CMD x", empty_layer=True),
    )
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "f").write_text(env["NONCE"])
    with (tmp_path / "blob").open("wb") as blob, (tmp_path / "below.tar").open("wb") as archive:
        layer = LayerFile(layer=pack(tmp_path / "upper", blob), path=tmp_path / "blob")
        blob.flush()
        config = ImageConfig(created="2024-01-02T03:04:05Z", author="me", history=steps)
        write_archive(archive, [Image(config=config, layers=(layer,))])
    body = f"""
below = dag.container().import_(dag.host().directory("{tmp_path}").file("below.tar"))
print(await below.with_new_file("/g", "x").publish(R + "/a/b:v1"))
"""
    (reference,) = printed(body, engine_bin, env)
    made = images.config(reference)
    assert (made["created"], made["author"]) == ("2024-01-02T03:04:05Z", "me")
    assert [step["created_by"] for step in made["history"]] == ["COPY . /", "CMD x", "brewline"]
    assert [step.get("empty_layer", False) for step in made["history"]] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        ("", "oci.image.layer.v1.tar+gzip"),
        ("forced_compression=dagger.ImageLayerCompression.Gzip", "oci.image.layer.v1.tar+gzip"),
        ("forced_compression=dagger.ImageLayerCompression.Zstd", "oci.image.layer.v1.tar+zstd"),
        ("forced_compression=dagger.ImageLayerCompression.Uncompressed", "oci.image.layer.v1.tar"),
        (
            "media_types=dagger.ImageMediaTypes.DockerMediaTypes",
            "docker.image.rootfs.diff.tar.gzip",
        ),
        (
            "media_types=dagger.ImageMediaTypes.DockerMediaTypes, "
            "forced_compression=dagger.ImageLayerCompression.Zstd",
            "docker.image.rootfs.diff.tar.zstd",
        ),
    ],
    ids=["usual", "gzip", "zstd", "none", "docker", "docker zstd"],
)
def test_forms_take_effect_and_are_read_again(
    engine_bin: Path,
    env: dict[str, str],
    elsewhere: dict[str, str],
    options: str,
    suffix: str,
) -> None:
    write = (
        f'print(await fresh().with_new_file("/f", "in {suffix}").publish(R + "/a/b:v1", {options}))'
    )
    (reference,) = printed(write, engine_bin, env)
    found = images.manifest(reference)
    assert {layer["mediaType"] for layer in found["layers"]} == {f"application/vnd.{suffix}"}
    assert ("docker" in found["mediaType"]) == ("docker" in suffix)
    env = {**env, **elsewhere, "REF": reference}
    read = 'print(await dag.container().from_(os.environ["REF"]).file("/f").contents())'
    assert printed(read, engine_bin, env) == [f"in {suffix}"]


def test_a_form_holds_for_layers_that_have_another(engine_bin: Path, env: dict[str, str]) -> None:
    body = """
await fresh().publish(R + "/a/b:gzip")
zstd = dagger.ImageLayerCompression.Zstd
await fresh().publish(R + "/a/b:zstd", forced_compression=zstd)
await dag.container().from_(R + "/a/b:zstd").publish(
    R + "/a/b:docker", media_types=dagger.ImageMediaTypes.DockerMediaTypes
)
"""
    printed(body, engine_bin, env)
    found = {tag: images.manifest(f"{env['R']}/a/b:{tag}") for tag in ("gzip", "zstd", "docker")}
    kinds = {tag: {layer["mediaType"][-5:] for layer in found[tag]["layers"]} for tag in found}
    assert kinds == {"gzip": {"+gzip"}, "zstd": {"+zstd"}, "docker": {".zstd"}}
    diff_ids = {str(images.config(f"{env['R']}/a/b:{tag}")["rootfs"]) for tag in found}
    assert len(diff_ids) == 1


def test_a_form_that_cannot_be_made_is_refused(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    options = "forced_compression=dagger.ImageLayerCompression.EStarGZ"
    said = failure(f'await fresh().export("{tmp_path}/x", {options})', engine_bin, env)
    assert "use Gzip, Zstd or" in said
    assert not (tmp_path / "x").exists()


def test_platforms_become_an_index_and_each_finds_its_own(
    engine_bin: Path, env: dict[str, str]
) -> None:
    body = """
def on(platform):
    return dag.container(platform=dagger.Platform(platform))

made = [on(p).with_new_file("/p", p) for p in ("linux/amd64", "linux/arm64", "linux/arm/v6")]
ref = await dag.container().publish(R + "/a/b:v1", platform_variants=made)
for p in ("linux/amd64", "linux/arm64/v8", "linux/arm/v7"):
    print(await on(p).from_(ref).file("/p").contents())
for ref in (ref, await made[0].publish(R + "/a/b:one")):
    try:
        await on("linux/s390x").from_(ref).sync()
    except dagger.QueryError as error:
        print(error)
"""
    *found, several, one = printed(body, engine_bin, env)
    assert found == ["linux/amd64", "linux/arm64", "linux/arm/v6"]
    assert "it has no image for platform linux/s390x, only for: linux/amd64" in several
    assert "linux/arm/v6, linux/arm64" in several
    assert one.endswith("no image for platform linux/s390x, only for: linux/amd64")


def test_a_registry_that_wants_a_login_says_so(
    engine_bin: Path, env: dict[str, str], guarded: str
) -> None:
    said = failure(f'await fresh().publish("{guarded}/a/b:v1")', engine_bin, env)
    assert f'failed to push "{guarded}/a/b:v1": {guarded} wants a login' in said


def test_a_digest_is_not_pushed_to(engine_bin: Path, env: dict[str, str]) -> None:
    body = f'await fresh().publish(R + "/a/b@sha256:{"0" * 64}")'
    assert "push to a name or a tag" in failure(body, engine_bin, env)
