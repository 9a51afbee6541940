"""Records from one machine to another and back; data that is sent; a worker that notices that nobody waits for it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed.core import Status

from nnlab import address, attempt, journal
from nnlab.cluster import sent_files, shipment
from nnlab.cluster.remote_watcher import RemoteWatcher
from nnlab.cluster.sent_files import SentFiles
from nnlab.data import stand_ins
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.watcher import Outcome
from tests.jobs import job as compose

PLACE = "sweeps/s/0"
_LINE = '{"type": "tags", "timestamp": 9999999999999, "tags": {}}\n'


def run(directory: Path, run_id: str, *losses: float, status: journal.Status | None = None) -> Path:
    log = Journal(directory)
    log.write("run", run_id=run_id, name="seed=0", experiment="e", parent="p", user="u", tags={}, tracking=None)
    for epoch, loss in enumerate(losses):
        log.metrics(epoch, {"val/loss": loss})
    if status:
        log.close(status)
    else:
        log.release()
    return directory


def test_a_record_goes_to_a_place_where_something_lies_already(tmp_path: Path) -> None:
    there = run(tmp_path / "worker" / PLACE, "r0", 1.0, 0.5, status="FINISHED")
    attempt.begin(there)
    (there / "plots").mkdir()
    (there / "plots" / "loss.png").write_bytes(b"picture")
    here = tmp_path / "outputs" / "elsewhere" / "0"
    (here / ".hydra").mkdir(parents=True)
    (here / ".hydra" / "config.yaml").write_text("a: 1\n")
    data = shipment.pack({PLACE: there})
    assert data is not None
    prepared: list[Path] = []
    shipment.unpack(data, {PLACE: here}, tmp_path / "outputs", tmp_path / "outputs", prepared.append)
    assert prepared == [here]
    assert (here / "journal.jsonl").read_bytes() == (there / "journal.jsonl").read_bytes()
    assert (here / "plots" / "loss.png").read_bytes() == b"picture"
    assert (here / ".hydra" / "config.yaml").is_file()
    assert attempt.of(here) is None  # that is the worker's own
    assert [path for path in (tmp_path / "outputs").iterdir() if path.name.startswith(".")] == []


def test_what_has_not_begun_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert shipment.pack({PLACE: tmp_path / "empty"}) is None


def test_a_flipped_byte_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    data = bytearray(shipment.pack({PLACE: run(tmp_path / "worker" / PLACE, "r0", 1.0, status="FINISHED")}) or b"")
    data[len(data) // 2] ^= 1
    with pytest.raises(NnlabError, match="damaged"):
        shipment.unpack(bytes(data), {PLACE: tmp_path / "here" / "0"}, tmp_path / "here", tmp_path / "here")
    assert not (tmp_path / "here" / "0").exists()


@pytest.mark.parametrize(
    ("cut", "more", "is_other"),
    [(2, "", False), (3, "", False), (3, _LINE, False), (2, _LINE, True), (3, '{"type": "tags"', False)],
)
def test_attempts_that_went_other_ways_are_found(tmp_path: Path, cut: int, more: str, is_other: bool) -> None:
    ours = run(tmp_path / "ours", "r0", 1.0, 0.5)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    lines = (ours / "journal.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 3
    (theirs / "journal.jsonl").write_text("".join(lines[:cut]) + more)
    data = shipment.pack({PLACE: theirs})
    assert data is not None
    assert shipment.other_ways(data, {PLACE: ours}) == ([PLACE] if is_other else [])
    assert shipment.other_ways(data, {PLACE: tmp_path / "nothing"}) == []


@pytest.fixture
def forgotten() -> Iterator[None]:
    yield
    stand_ins._known.clear()


@pytest.mark.usefixtures("forgotten")
def test_own_files_are_sent_and_the_run_is_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    initial = tmp_path / "initial"
    initial.mkdir()
    np.save(initial / "0.weight.npy", np.arange(6.0))
    (initial / "notes.txt").write_text("not an array")
    job = compose(f"initializer.from={initial}")
    assert sent_files.own_paths(job.config) == [str(initial)]
    before = address.address(job.config, 1, "d")
    sent = SentFiles({str(initial): sent_files.read_own(str(initial))})
    assert list(sent.own[str(initial)]) == ["0.weight.npy"]

    (initial / "0.weight.npy").write_bytes(b"another machine has another thing there")
    monkeypatch.setenv("NNLAB_DATA_DIR", str(tmp_path / "data"))
    sent_files.put(sent)
    assert address.address(job.config, 1, "d") == before
    (kept,) = (tmp_path / "data" / "sent").iterdir()
    digest = hashlib.sha256()
    content = sent.own[str(initial)]["0.weight.npy"]
    digest.update(b"0.weight.npy\0" + hashlib.sha256(content).hexdigest().encode() + b"\0")
    assert kept.name == digest.hexdigest()


def test_a_published_file_is_believed_for_its_hash_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_DATA_DIR", str(tmp_path))
    with pytest.raises(NnlabError, match="train-labels-idx1-ubyte came as another file"):
        sent_files.put(SentFiles(published={"mnist": {"train-labels-idx1-ubyte": b"forged"}}))
    assert not (tmp_path / "mnist").exists()


@pytest.mark.parametrize(
    ("state", "status", "ends"),
    [
        ("executing", Status.running, False),
        ("cancelled", Status.running, True),
        (None, Status.running, True),
        ("executing", Status.closing, True),
    ],
)
def test_training_ends_when_nobody_waits_for_it(state: str | None, status: Status, ends: bool) -> None:
    tasks = {"key": SimpleNamespace(state=state)} if state else {}
    said: list[Any] = []
    worker: Any = SimpleNamespace(
        state=SimpleNamespace(tasks=tasks), status=status, log_event=lambda topic, line: said.append((topic, line))
    )
    watcher = RemoteWatcher(worker, "key", "topic", 0.0, {Path("/there/0"): Path("/here/0")})
    result: Any = SimpleNamespace(epoch=3)
    if ends:
        with pytest.raises(KeyboardInterrupt):
            watcher.epoch(result, 10, 4)
    else:
        watcher.epoch(result, 10, 4)
    watcher.ended(Path("/there/0"), Outcome("FINISHED"), 0)
    assert said == [
        ("topic", {"epochs": 4}),
        ("topic", {"epochs": 0, "ended": "/here/0", "status": "FINISHED", "reason": None, "left": 0}),
    ]
