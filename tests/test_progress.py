"""Progress: plain lines in a pipe, a bar on a terminal."""

import io

import numpy as np
from rich.console import Console

from nnlab.progress import Progress
from nnlab.training import EpochResult


def result(epoch: int, loss: float = 0.25) -> EpochResult:
    return EpochResult(epoch, epoch, {"val/loss": np.array([loss]), "val/accuracy": np.array([0.5])})


def shown(console: Console, epochs: int, lines: int = 20) -> str:
    with Progress("title", lines, console) as progress:
        for epoch in range(epochs + 1):
            progress.epoch(result(epoch), epochs)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_pipe_gets_about_twenty_lines_the_first_and_the_last_among_them() -> None:
    lines = shown(Console(file=io.StringIO()), 1000).splitlines()
    assert 20 <= len(lines) <= 22
    assert lines[0] == "title  epoch    0/1000  val loss 0.2500  accuracy 0.5000"
    assert lines[-1].startswith("title  epoch 1000/1000  val loss 0.2500  accuracy 0.5000")
    assert "epochs/s" in lines[-1]
    assert "left" in lines[-1]


def test_a_job_of_a_sweep_gets_its_last_line_only() -> None:
    (line,) = shown(Console(file=io.StringIO()), 50, lines=1).splitlines()
    assert "50/50" in line


def test_a_terminal_gets_a_bar_with_numbers_speed_and_time_left() -> None:
    text = shown(Console(file=io.StringIO(), force_terminal=True, width=160), 7)
    assert "7/7" in text
    assert "val loss 0.2500" in text
    assert "epochs/s" in text
    assert "0:00:00" in text


def test_a_title_that_looks_like_markup_is_shown_as_it_is() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with Progress("training.diagnostics=[grad_norm] [/x]", console=console) as progress:
        progress.epoch(result(1), 1)
    assert isinstance(console.file, io.StringIO)
    assert "training.diagnostics=[grad_norm] [/x]" in console.file.getvalue()


def test_without_a_validation_part_the_training_batches_are_shown() -> None:
    console = Console(file=io.StringIO())
    train_only = EpochResult(1, 1, {"train/loss": np.array([3e7]), "train/accuracy": np.array([0.125])})
    Progress("t", console=console).epoch(train_only, 1)
    assert isinstance(console.file, io.StringIO)
    assert "train loss 3e+07  accuracy 0.1250" in console.file.getvalue()
