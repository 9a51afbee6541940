"""Last words: what stopped before it had a record, or while it got one, is closed with the reason all the same."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from nnlab import closing, environment, journal, locks, recorder, resuming, runner
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.sweep.parent import open_parent
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.work import Task, Work, judged
from nnlab.watcher import Outcome
from tests.jobs import job
from tests.reproduction.runs import without_plots


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_job_whose_worker_was_killed_before_its_first_line_has_a_record(tmp_path: Path) -> None:
    task = Task(0, job("seed=7"), tmp_path / "0", "seed=7")
    future: Future[list[Outcome]] = Future()
    future.set_exception(BrokenProcessPool("SIGKILL"))
    with SweepProgress(tmp_path) as progress:
        progress.begin({task.directory: (0, task.name)}, 1)
        assert list(judged(Work([task], resume=True, kills=1), future, progress, "p" * 32)) == []
    record = journal.read(task.directory)
    assert (record.status, record.reason) == ("FAILED", progress.outcomes[0].reason)
    assert "killed (SIGKILL)" in str(record.reason)
    assert (record.run["name"], record.run["parent"], record.run["tags"]["seed"]) == ("seed=7", "p" * 32, "7")
    assert record.params["optimizer"] == "sgd"


@pytest.mark.parametrize("where", ["_describe", "_begin", "artifact"])
def test_a_run_that_is_interrupted_while_its_record_is_opened_is_closed(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(recorder.Recorder, where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            runner.run([job()], [directory])
    record = journal.read(directory)
    expected = ("KILLED", journal.DIED) if where == "_begin" else ("KILLED", "interrupted")
    assert (record.status, record.reason) == expected
    assert (journal.whole_lines(directory / journal.NAME) == 0) == (where == "_begin"), "nothing to close"


def test_runs_that_have_their_last_word_keep_it(tmp_path: Path) -> None:
    for name in ("finished", "in use", "empty"):
        log = Journal(tmp_path / name)
        if name != "empty":
            log.write("run", run_id=name)
        if name == "finished":
            log.close("FINISHED")
        elif name == "empty":
            log.release()
    before = {path: path.read_bytes() for path in tmp_path.glob(f"*/{journal.NAME}")}
    closing.kill_beginning([tmp_path / name for name in ("finished", "in use", "empty", "absent")])
    assert {path: path.read_bytes() for path in tmp_path.glob(f"*/{journal.NAME}")} == before
    assert not locks.is_locked(tmp_path / "finished" / journal.NAME)


def test_a_run_is_not_gone_on_with_before_its_config_is_written(tmp_path: Path) -> None:
    from nnlab.sweep.resumption import resume

    closing.record_failure(job(), tmp_path, "a run", None, 1, "no memory")
    with pytest.raises(NnlabError, match=r"nothing to do: the run is FAILED \(no memory\)") as nothing:
        resume(tmp_path)
    assert nothing.value.exit_code == 1
    (tmp_path / "config.yaml").touch()  # a kill in the midst of writing it
    with pytest.raises(NnlabError, match="stopped before it began; train it anew"):
        resume(tmp_path, retry_failed=True)
    assert resuming.start(tmp_path) is None


def test_an_interrupt_while_a_sweep_is_opened_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook the process lives on, and with it the lock: the sweep would be RUNNING for ever."""
    monkeypatch.setattr(environment, "facts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_parent(tmp_path, job().config, kind="sweep", name="a sweep", overrides=[], swept=[], jobs=1, params={})
    assert not locks.is_locked(tmp_path / journal.NAME)
    assert journal.read(tmp_path).status == "KILLED"
