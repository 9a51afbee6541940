import errno
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest

from nnlab import journal
from nnlab.clock import Clock
from nnlab.errors import NnlabError
from nnlab.journal import Journal

WRITER = """
import sys
from pathlib import Path
from nnlab.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.write("run", run_id="r")
journal.metrics(0, {"val/loss": 1.0})
print("written", flush=True)
sys.stdin.read()
journal.close("FINISHED")
"""


@contextmanager
def writer(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A trainer in another process that has written two lines and waits for the end of its input."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
            yield process
        finally:
            process.kill()


def by_hand(directory: Path, *lines: object, tail: str = "") -> Path:
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (directory / "journal.jsonl").write_text(text + tail)
    return directory


def metrics(step: int, **values: object) -> dict[str, object]:
    return {"type": "metrics", "timestamp": 1000 + step, "step": step, "metrics": values}


RUN = {"type": "run", "timestamp": 1000, "run_id": "r"}


def test_each_line_is_one_write_of_one_json_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        writes.append(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    record = Journal(tmp_path / "run")
    record.write("run", run_id="r", name="line\nbreak ü")
    record.metrics(3, {"val/loss": 0.5, "lr": 1e-30})
    record.close("FAILED", "why")

    lines = (tmp_path / "run" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert writes == lines
    events = [json.loads(line) for line in lines]
    assert [event.pop("timestamp") > 1_700_000_000_000 for event in events] == [True] * 3
    assert events == [
        {"type": "run", "run_id": "r", "name": "line\nbreak ü"},
        {"type": "metrics", "step": 3, "metrics": {"val/loss": 0.5, "lr": 1e-30}},
        {"type": "status", "status": "FAILED", "reason": "why"},
    ]


def test_nan_and_infinities_are_strings_in_the_file_and_numbers_for_the_reader(tmp_path: Path) -> None:
    record = Journal(tmp_path)
    record.metrics(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 2})
    record.close("FAILED", "NaN")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    line = (tmp_path / "journal.jsonl").read_bytes().splitlines()[0]
    written = json.loads(line, parse_constant=refuse)["metrics"]
    assert written == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 2.0}
    values = journal.read(tmp_path).steps[1]
    assert math.isnan(values["a"])
    assert (values["b"], values["c"], values["d"]) == (math.inf, -math.inf, 2)


def test_a_torn_tail_is_ignored_and_left_by_readers_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    by_hand(tmp_path, RUN, metrics(0, loss=1), tail='{"type":"metrics","timestamp":10')
    before = (tmp_path / "journal.jsonl").read_bytes()

    assert journal.read(tmp_path).steps == {0: {"loss": 1}}
    assert (tmp_path / "journal.jsonl").read_bytes() == before

    resumed = Journal(tmp_path)
    resumed.metrics(1, {"loss": 0.5})
    resumed.close("FINISHED")
    assert journal.read(tmp_path).steps == {0: {"loss": 1}, 1: {"loss": 0.5}}


@pytest.mark.parametrize("size", [0, 1, 10, 65_535, 65_536, 65_537, 200_000])
def test_whole_lines_ends_behind_the_last_line_break(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    short, long = (json.dumps({**RUN, "name": "x" * letters}).encode() + b"\n" for letters in (1, 100_000))
    for head in (b"", short, long, short + long, long + short):
        for tail in (b"y" * size, b"\0" * size, (b"y" * 9 + b"\n") * (size // 10)):
            path.write_bytes(head + tail)
            assert journal.whole_lines(path) == len(head)


def test_a_line_that_fits_in_part_only_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Journal(tmp_path)
    record.metrics(0, {"loss": 1})
    real = os.write
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda fd, data: real(fd, data[:9]))
        with pytest.raises(OSError, match="disk full"):
            record.metrics(1, {"loss": 1})
    record.close("FAILED", "disk full")
    result = journal.read(tmp_path)
    assert (result.steps, result.status, result.reason) == ({0: {"loss": 1}}, "FAILED", "disk full")


def test_no_line_of_two_threads_is_older_than_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(1)

    def now(_: Clock) -> int:
        time = next(times)
        sleep(0.001)  # lets the other thread come between, if anything does
        return time

    monkeypatch.setattr(Clock, "now", now)
    log = Journal(tmp_path)

    def write(kind: str) -> None:
        for step in range(50):
            log.metrics(step, {kind: 1.0}) if kind == "val/loss" else log.write(kind, path=f"{step}")

    threads = [threading.Thread(target=write, args=(kind,)) for kind in ("artifact", "val/loss")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    log.close("FINISHED")
    timestamps = [json.loads(line)["timestamp"] for line in (tmp_path / journal.NAME).read_text().splitlines()]
    assert timestamps == [*range(1, 102)]


def test_what_the_file_system_refuses_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space")

    record = Journal(tmp_path)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", refuse)
        with pytest.raises(OSError, match="No space"):
            record.metrics(1, {"loss": 1})
    record.close("FINISHED")


def test_a_run_is_running_while_its_writer_lives_and_killed_after_kill_9(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        assert journal.read(tmp_path).status == "RUNNING"
        with pytest.raises(NnlabError, match="is being written by another process") as refused:
            Journal(tmp_path)
        assert "\n" not in str(refused.value)
        process.send_signal(signal.SIGKILL)
        process.wait()
    result = journal.read(tmp_path)
    assert result.status == "KILLED"
    assert result.reason == "the process died without closing the run"
    assert result.steps == {0: {"val/loss": 1.0}}


def test_a_run_that_closes_has_the_status_it_says(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        process.communicate()
    assert journal.read(tmp_path).status == "FINISHED"


def test_a_resumed_run_runs_again_whatever_its_last_status_was(tmp_path: Path) -> None:
    by_hand(tmp_path, RUN, {"type": "status", "timestamp": 1002, "status": "KILLED", "reason": "interrupted"})
    assert journal.read(tmp_path).reason == "interrupted"
    resumed = Journal(tmp_path)
    resumed.metrics(2, {"loss": 1})
    during = journal.read(tmp_path)
    resumed.close("FINISHED")
    after = journal.read(tmp_path)
    assert (during.status, during.reason) == ("RUNNING", None)
    assert (after.status, after.reason) == ("FINISHED", None)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"7",
        b"{",
        b"\xff\xfe",
        b'{"type":"metrics","timestamp":1,"stfp":1,"metrics":{}}',
        b'{"type":"artifact","timestamp":1}',
        b'{"type":"tags","timestamp":1}',
        b'{"type":"metrics","step":1,"metrics":{}}',
    ],
)
def test_a_damaged_line_ends_in_one_clear_line(tmp_path: Path, line: bytes) -> None:
    by_hand(tmp_path, RUN)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(line + b"\n" + json.dumps(metrics(1, loss=1)).encode() + b"\n")
    with pytest.raises(NnlabError, match=r"journal.jsonl is damaged: the line that ends at byte \d+ is no event") as e:
        journal.read(tmp_path)
    assert "\n" not in str(e.value)


def test_a_directory_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NnlabError, match=r"holds no run: there is no journal\.jsonl in it"):
        journal.read(tmp_path)


def test_the_record_of_a_journal_written_by_hand(tmp_path: Path) -> None:
    by_hand(
        tmp_path,
        RUN,
        {"type": "params", "timestamp": 1000, "params": {"seed": 1}},
        metrics(0, **{"val/loss": 3.0}),
        metrics(640, **{"update/loss": 9.0}),  # step is the update's number
        metrics(1, **{"val/loss": 2.0, "lr": 0.1}),
        metrics(1, **{"val/loss": 1.5, "final/test_loss": 7}),
        {"type": "artifact", "timestamp": 1005, "path": "checkpoints/epoch-000001"},
        {"type": "artifact", "timestamp": 1005, "path": "config.yaml"},
        {"type": "pruned", "timestamp": 1006, "path": "checkpoints/epoch-000001"},
        {"type": "tags", "timestamp": 1006, "tags": {"a": "1", "b": "2"}},
        {"type": "tags", "timestamp": 1006, "tags": {"b": "3"}},
        {"type": "from a later nnlab", "timestamp": 1007},
    )
    record = journal.read(tmp_path)
    assert record.params == {"seed": 1}
    assert record.steps == {0: {"val/loss": 3.0}, 1: {"val/loss": 1.5, "lr": 0.1, "final/test_loss": 7.0}}
    assert record.metrics == {"val/loss": 1.5, "lr": 0.1, "final/test_loss": 7.0}
    assert record.artifacts == ["config.yaml"]
    assert record.pruned == {"checkpoints/epoch-000001"}
    assert record.tags == {"a": "1", "b": "3"}
    assert record.ended == 1640


def test_reading_goes_on_at_an_offset(tmp_path: Path) -> None:
    by_hand(tmp_path, RUN, metrics(0, loss=1), metrics(1, loss=2))
    path = tmp_path / "journal.jsonl"
    first = len(path.read_bytes().splitlines(keepends=True)[0])
    rest = list(journal.read_events(path, first))
    assert [event["step"] for event, _ in rest] == [0, 1]
    assert rest[-1][1] == path.stat().st_size


@pytest.mark.parametrize(
    ("last", "status", "reason", "ended"),
    [
        ([{"type": "status", "timestamp": 1500, "status": "FINISHED", "reason": None}], "FINISHED", None, 1500),
        ([{"type": "status", "timestamp": 1500, "status": "FAILED", "reason": "NaN"}], "FAILED", "NaN", 1500),
        ([], "KILLED", "the process died without closing the run", 1002),
    ],
)
def test_an_annotated_run_keeps_its_status_its_reason_and_its_end(
    tmp_path: Path, last: list[object], status: str, reason: str | None, ended: int
) -> None:
    by_hand(tmp_path, RUN, metrics(1, loss=1), metrics(2, loss=0.5), *last)
    before = journal.read(tmp_path)
    for number in range(3):
        journal.annotate(tmp_path, {"nnlab.reproduced": str(number)}, [f"{number}.json"])
    after = journal.read(tmp_path)
    assert after.tags == {"nnlab.reproduced": "2"}
    assert after.artifacts == ["0.json", "1.json", "2.json"]
    assert (after.status, after.reason, after.ended) == (status, reason, ended)
    assert (after.run, after.steps) == (before.run, before.steps)


def test_an_annotation_is_one_write_so_that_no_kill_takes_the_status_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand(tmp_path, RUN, {"type": "status", "timestamp": 1500, "status": "FINISHED", "reason": None})
    before = (tmp_path / "journal.jsonl").read_bytes()
    real = os.write
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda fd, data: real(fd, data[:-9]))
        with pytest.raises(OSError, match="disk full"):
            journal.annotate(tmp_path, {"a": "b"}, ["c"])
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    journal.annotate(tmp_path, {"a": "b"})  # nobody holds the lock
    assert journal.read(tmp_path).tags == {"a": "b"}


def test_a_resumed_run_that_was_annotated_ends_when_it_ends(tmp_path: Path) -> None:
    by_hand(tmp_path, RUN, {"type": "status", "timestamp": 1500, "status": "KILLED", "reason": "interrupted"})
    journal.annotate(tmp_path, {"a": "b"})
    resumed = Journal(tmp_path)
    resumed.metrics(1, {"loss": 1})
    resumed.close("FINISHED")
    last = json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[-1])
    assert journal.read(tmp_path).ended == last["timestamp"] > 1_700_000_000_000


def test_a_living_run_and_no_run_can_not_be_annotated(tmp_path: Path) -> None:
    (tmp_path / "alive").mkdir()
    with writer(tmp_path / "alive"), pytest.raises(NnlabError, match="is being written by another process"):
        journal.annotate(tmp_path / "alive", {"a": "b"})
    with pytest.raises(NnlabError, match="holds no run"):
        journal.annotate(tmp_path / "none", {"a": "b"})
    assert not (tmp_path / "none").exists()
