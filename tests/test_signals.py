"""Signals: one interrupt, the closing of records left in peace, all put back; terminals that are gone."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnlab import app, journal, mirroring, signals
from nnlab.recorder import Recorder
from nnlab.signals import ENDING, held, interruptible
from nnlab.tracking import follower

unix = pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")


def nobody(number: int, frame: object) -> None:
    """Handle a signal by doing nothing."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give SIGTERM and SIGHUP, which would end the tests, handlers that do not."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, nobody)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@unix
@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_an_interrupt_and_all_is_put_back(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in ENDING] == [nobody] * len(ENDING)


@unix
def test_a_second_one_does_not_break_the_closing(capfd: pytest.CaptureFixture[str]) -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
    assert capfd.readouterr().err == "nnlab: the records are being closed, one moment\n"


def hold_an_interrupt(error: Exception | None = None) -> Iterator[str]:
    """Raise a signal within two held blocks, then the error, and yield what is come to."""
    with interruptible(), held():
        with held():
            signal.raise_signal(signal.SIGTERM)
            yield "inner"
        yield "outer"
        if error:
            raise error


@unix
def test_within_a_held_block_an_interrupt_waits_for_its_end() -> None:
    steps = hold_an_interrupt()
    assert [next(steps), next(steps)] == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    with interruptible(), held():  # and none comes where none came
        pass
    with held():  # without the other block it is nothing
        pass


@unix
def test_an_interrupt_that_waited_is_not_lost_to_an_error() -> None:
    error = ValueError("of the block")
    with pytest.raises(KeyboardInterrupt) as raised:
        list(hold_an_interrupt(error))
    assert raised.value.__context__ is error


@unix
def test_a_run_that_is_interrupted_while_its_record_is_begun_is_closed(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Recorder.__init__

    def interrupted(*arguments: Any, **named: Any) -> None:
        begin(*arguments, **named)
        signal.raise_signal(signal.SIGTERM)  # it holds the journal's lock, and nobody has it yet

    monkeypatch.setattr(Recorder, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt), interruptible():
        app.train(["tracking=none", "dataset=moons", "training.epochs=1"])
    (directory,) = (outputs / "runs").iterdir()
    record = journal.read(directory)
    assert (record.status, record.reason) == ("KILLED", "interrupted")


@unix
def test_one_that_comes_long_after_the_first_is_an_interrupt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_CLOSING_SECONDS", 0.0)
    with interruptible():
        for _ in range(3):  # the first may have been lost in somebody's ``__del__``
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)


@unix
def test_a_block_in_a_block_leaves_it_to_the_outer_one() -> None:
    with interruptible():
        outer = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGTERM)
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) is outer
            signal.raise_signal(signal.SIGTERM)


@unix
def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_another_thread_has_no_signals() -> None:
    entered = []

    def enter() -> None:
        with interruptible():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [nobody]


@unix
def test_the_streams_leave_a_terminal_that_is_gone() -> None:
    """The interpreter writes what is left in its buffers when it ends; that must not be an error either."""
    master, slave = pty.openpty()
    code = """
import signal, sys
from nnlab.signals import interruptible
try:
    with interruptible():
        sys.stdin.readline()
        signal.raise_signal(signal.SIGHUP)
except KeyboardInterrupt:
    print("interrupted")
    print("interrupted", file=sys.stderr)
    sys.exit(130)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=slave, stderr=slave)
    os.close(slave)
    os.close(master)
    process.communicate(b"go on\n")
    assert process.returncode == 130


def test_ctrl_c_while_mirroring_loses_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def wait(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(follower, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        mirroring.wait_until_mirrored(True, [tmp_path], 1)
    assert "the tracker goes on" in capsys.readouterr().out
