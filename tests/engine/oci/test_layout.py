"""Images written as OCI layouts and read back."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.oci.archive import open_archive
from engine.oci.image import ImageConfig, ImageError
from engine.oci.layer import pack
from engine.oci.layout import Image, LayerFile, write_archive
from engine.oci.unpack import unpack
from tests.engine.oci.trees import needs_root


def layer_file(tmp_path: Path, name: str) -> LayerFile:
    """A layer that holds one file called `name`."""
    upper = tmp_path / f"upper-{name}"
    upper.mkdir()
    (upper / name).write_text(name)
    blob = tmp_path / f"{name}.tar.gz"
    with blob.open("wb") as out:
        return LayerFile(layer=pack(upper, out, epoch=0), path=blob)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image of two layers."""
    layers = (layer_file(tmp_path, "one"), layer_file(tmp_path, "two"))
    return Image(config=ImageConfig(entrypoint=("e",), labels=(("l", "v"),)), layers=layers)


def archive(images: list[Image], name: str = "") -> tuple[str, bytes]:
    """The digest and the bytes of the archive."""
    out = io.BytesIO()
    return write_archive(out, images, name=name), out.getvalue()


def json_of(data: bytes, path: str) -> Any:
    """A JSON file of an archive."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        file = tar.extractfile(path)
        assert file is not None
        return json.load(file)


def blob_of(data: bytes, digest: str) -> Any:
    """A JSON blob of an archive."""
    return json_of(data, "blobs/" + digest.replace(":", "/"))


def test_an_archive_has_the_recorded_shape(image: Image) -> None:
    digest, data = archive([image])
    index = json_of(data, "index.json")
    (entry,) = index["manifests"]
    manifest = blob_of(data, entry["digest"])
    config = blob_of(data, manifest["config"]["digest"])
    assert json_of(data, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert entry["digest"] == digest
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    assert config["config"] == {"Entrypoint": ["e"], "Labels": {"l": "v"}}
    assert config["rootfs"]["diff_ids"] == [file.layer.diff_id for file in image.layers]


def test_every_blob_has_the_digest_it_is_named_after(image: Image) -> None:
    _, data = archive([image, Image(config=ImageConfig(architecture="arm64"))], "a/b:1")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        blobs = [m for m in tar if m.isreg() and m.name.startswith("blobs/")]
        for member in blobs:
            content = tar.extractfile(member)
            assert content is not None
            assert member.name == f"blobs/sha256/{hashlib.sha256(content.read()).hexdigest()}"
    assert len(blobs) == 2 + 2 * 2 + 1


def test_equal_images_give_equal_bytes(image: Image) -> None:
    assert archive([image], "a:1") == archive([image], "a:1")


def test_one_image_can_be_loaded_by_docker(image: Image) -> None:
    _, data = archive([image], "localhost:5000/a/b")
    (entry,) = json_of(data, "manifest.json")
    assert entry["RepoTags"] == ["localhost:5000/a/b:latest"]
    assert json_of(data, entry["Config"])["os"] == "linux"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for path, file in zip(entry["Layers"], image.layers, strict=True):
            member = tar.extractfile(path)
            assert member is not None
            assert member.read() == file.path.read_bytes()


def test_an_archive_is_read_back(image: Image, tmp_path: Path) -> None:
    digest, data = archive([image], "a/b:1")
    (tmp_path / "i.tar").write_bytes(data)
    with open_archive(tmp_path / "i.tar") as opened:
        found = opened.select("linux/amd64", tag="1")
        assert (found.digest, found.tag) == (digest, "1")
        assert found.config.labels == (("l", "v"),)
        assert [layer.digest for layer in found.layers] == [f.layer.digest for f in image.layers]
        assert [layer.diff_id for layer in found.layers] == [f.layer.diff_id for f in image.layers]
        with opened.open(found.layers[0]) as blob:
            assert blob.read() == image.layers[0].path.read_bytes()


@needs_root
def test_the_layers_of_an_archive_unpack(image: Image, tmp_path: Path) -> None:
    (tmp_path / "i.tar").write_bytes(archive([image])[1])
    back = tmp_path / "back"
    back.mkdir()
    with open_archive(tmp_path / "i.tar") as opened:
        for layer in opened.select().layers:
            with opened.open(layer) as blob:
                unpack(blob, back, digest=layer.digest, diff_id=layer.diff_id)
    assert sorted(path.name for path in back.iterdir()) == ["one", "two"]


def test_platforms_are_told_apart(image: Image, tmp_path: Path) -> None:
    arm = Image(config=ImageConfig(architecture="arm64", variant="v8", user="arm"))
    digest, data = archive([image, arm], "a:1")
    (top,) = json_of(data, "index.json")["manifests"]
    assert (top["digest"], top["mediaType"]) == (
        digest,
        "application/vnd.oci.image.index.v1+json",
    )
    (tmp_path / "i.tar").write_bytes(data)
    with open_archive(tmp_path / "i.tar") as opened:
        assert opened.select("linux/arm64").config.user == "arm"
        assert opened.select("linux/amd64").config.user == ""
        with pytest.raises(ImageError, match="no image for linux/s390x; it has: linux/amd64"):
            opened.select("linux/s390x")
        with pytest.raises(ImageError, match="tag 2"):
            opened.select(tag="2")


def test_an_archive_of_docker_save_is_read(tmp_path: Path) -> None:
    plain = gzip.decompress(layer_file(tmp_path, "one").path.read_bytes())
    config = ImageConfig(diff_ids=(f"sha256:{hashlib.sha256(plain).hexdigest()}",), user="u")
    listing = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["x/layer.tar"]}]
    files = {
        "c.json": config.to_json(),
        "x/layer.tar": plain,
        "manifest.json": json.dumps(listing).encode(),
    }
    with tarfile.open(tmp_path / "d.tar", "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with open_archive(tmp_path / "d.tar") as opened:
        found = opened.select(tag="1")
        assert (found.config.user, found.layers[0].diff_id) == ("u", config.diff_ids[0])
        with opened.open(found.layers[0]) as blob:
            assert blob.read() == plain


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither index.json nor manifest.json"),
        ({"index.json": b"{"}, "cannot be read"),
        ({"index.json": b"[]"}, "this is no image manifest"),
        ({"manifest.json": b"[{}]"}, "cannot be read"),
        ({"manifest.json": b'[{"Config":"c"}]'}, "the archive has no c"),
        (
            {"index.json": b'{"manifests":[{"mediaType":"T","digest":"../../x"}]}'},
            "which is no digest",
        ),
        (
            {"index.json": b'{"manifests":[{"mediaType":"T","digest":"D"}]}', "B": b"{}"},
            "is damaged",
        ),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    names = {
        b'"T"': b'"application/vnd.oci.image.manifest.v1+json"',
        b'"D"': b'"sha256:' + b"0" * 64 + b'"',
    }
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for name, content in files.items():
            for short, long in names.items():
                content = content.replace(short, long)
            info = tarfile.TarInfo(name.replace("B", "blobs/sha256/" + "0" * 64))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(ImageError, match=message), open_archive(tmp_path / "bad.tar"):
        pass


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("no archive")
    with pytest.raises(ImageError, match="this is no image archive"):
        with open_archive(tmp_path / "bad"):
            pass


def test_an_error_of_the_reader_is_its_own(image: Image, tmp_path: Path) -> None:
    (tmp_path / "i.tar").write_bytes(archive([image])[1])
    with pytest.raises(KeyError, match="mine"), open_archive(tmp_path / "i.tar"):
        raise KeyError("mine")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="compares with skopeo")
def test_skopeo_reads_the_archive(image: Image, tmp_path: Path) -> None:
    digest, data = archive([image], "a/b:1")
    (tmp_path / "i.tar").write_bytes(data)
    done = subprocess.run(
        ["skopeo", "inspect", f"oci-archive:{tmp_path}/i.tar:1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["Digest"] == digest
    assert seen["Labels"] == {"l": "v"}
    done = subprocess.run(
        ["skopeo", "inspect", f"docker-archive:{tmp_path}/i.tar"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
