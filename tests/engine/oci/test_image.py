"""Image configurations as JSON and back."""

from __future__ import annotations

import json

import pytest

from engine.oci.image import Healthcheck, History, ImageConfig, ImageError

FULL = ImageConfig(
    architecture="arm",
    os="linux",
    variant="v7",
    created="2024-01-02T03:04:05Z",
    author="me",
    env=(("PATH", "/bin"), ("EMPTY", ""), ("EQUALS", "a=b")),
    entrypoint=("e",),
    cmd=("c", ""),
    user="1:2",
    working_dir="/w",
    labels=(("a", "1"), ("b", "é")),
    exposed_ports=("53/udp", "80/tcp"),
    volumes=("/v",),
    stop_signal="SIGINT",
    healthcheck=Healthcheck(
        test=("CMD", "true"), interval=5, timeout=6, start_period=7, start_interval=8, retries=2
    ),
    shell=("bash", "-c"),
    onbuild=("RUN x",),
    diff_ids=("sha256:1",),
    history=(History(created="t", created_by="RUN", comment="c"), History(empty_layer=True)),
)


@pytest.mark.parametrize(
    "config",
    [
        FULL,
        ImageConfig(),
        ImageConfig(entrypoint=(), cmd=()),
        ImageConfig(healthcheck=Healthcheck(test=("NONE",))),
    ],
)
def test_a_configuration_survives_the_way_through_json(config: ImageConfig) -> None:
    assert ImageConfig.from_json(config.to_json()) == config


def test_the_names_are_those_of_the_specification() -> None:
    table = json.loads(FULL.to_json())
    assert set(table) == {
        *("architecture", "os", "variant", "created", "author"),
        *("config", "rootfs", "history"),
    }
    assert table["config"]["Env"] == ["PATH=/bin", "EMPTY=", "EQUALS=a=b"]
    assert table["config"]["ExposedPorts"] == {"53/udp": {}, "80/tcp": {}}
    assert table["config"]["Healthcheck"]["StartPeriod"] == 7
    assert table["rootfs"] == {"type": "layers", "diff_ids": ["sha256:1"]}
    assert table["history"][1] == {"empty_layer": True}


def test_what_is_not_set_is_not_written() -> None:
    assert json.loads(ImageConfig().to_json()) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def test_the_platform_names_the_variant() -> None:
    assert (FULL.platform, ImageConfig().platform) == ("linux/arm/v7", "linux/amd64")


def test_unknown_keys_and_nulls_are_dropped() -> None:
    text = b'{"os":"linux","moby":1,"config":{"Env":null,"Cmd":null,"Image":"x","Labels":null}}'
    assert ImageConfig.from_json(text) == ImageConfig(architecture="")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"config":[1]}', b'{"config":{"Env":[1]}}'])
def test_what_is_no_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(ImageError, match="this is no image configuration"):
        ImageConfig.from_json(text)
