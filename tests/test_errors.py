"""Bad input ends in one clear line, exit code 2, and nothing on disk."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnlab import app, journal, locks
from nnlab.cli import main
from nnlab.errors import NnlabError

BAD = [
    # misspelt keys: the key, what was meant, the choices
    (["optimizer.lrr=1"], ["optimizer.lrr", "did you mean lr?", "momentum"]),
    (["sed=1"], ["sed", "did you mean seed?", "training"]),
    (["+foo=1"], ["foo", "no such key"]),
    (["+optimizer.lrr=1"], ["optimizer.lrr", "did you mean lr?"]),
    (["dataset=moons", "dataset.noies=0.1"], ["dataset.noies", "did you mean noise?"]),
    (["dataset.noise=0.1"], ["dataset.noise", "split", "standardize"]),
    (["initializer.form=x"], ["initializer.form", "did you mean from?"]),
    (["hydra.run.dri=x"], ["hydra.run.dri", "dir"]),
    # unknown choices: the group and its choices
    (["activation=rleu"], ["activation=rleu", "identity, leaky_relu, relu, selu, sigmoid, silu, softplus, tanh"]),
    (["dataset=cifar"], ["dataset=cifar", "iris, mnist, moons, npz, wine"]),
    (["experiment=nope"], ["experiment=nope", "mnist-mlp"]),
    (["hydra/launcher=nope"], ["hydra/launcher=nope", "basic"]),
    (["dataset.split=foo"], ["dataset.split", "'stratified' or 'whole'"]),
    (["schedule.per=foo"], ["schedule.per", "'update' or 'epoch'"]),
    (["training.dtype=float16"], ["training.dtype", "'float32' or 'float64'"]),
    (["checkpoint.every=foo"], ["checkpoint.every", "valid integer or 'auto'"]),
    # wrong types
    (["seed=abc"], ["seed", "abc", "integer"]),
    (["seed=1.5"], ["seed", "1.5", "integer"]),
    (["seed=true"], ["seed", "true", "integer"]),
    (["seed=null"], ["seed", "null", "integer"]),
    (["~seed"], ["seed", "missing"]),
    (["optimizer.lr=x"], ["optimizer.lr", "number"]),
    (["optimizer.lr='0.1'"], ["optimizer.lr", "number"]),
    (["optimizer.lr=nan"], ["optimizer.lr", "finite"]),
    (["architecture.hidden_sizes=5"], ["architecture.hidden_sizes", "list"]),
    (["architecture.hidden_sizes=[3,a]"], ["architecture.hidden_sizes", '"a"']),
    (["training=3"], ["training", "section"]),
    (["initializer.bias=normal"], ["initializer.bias", "section"]),
    (["++training.epochs=x"], ["training.epochs", "integer"]),
    (["initializer@initializer.bias=constant", "initializer.bias.value=x"], ["initializer.bias.value", "number"]),
    (["training.epochs=${nope}"], ["training.epochs", "nope"]),
    # out of range, or not together
    (["seed=-1"], ["seed", "greater than or equal to 0"]),
    (["training.batch_size=-1"], ["training.batch_size", "-1", "greater than or equal to 1"]),
    (["training.batch_size=500"], ["training.batch_size", "107", "500"]),
    (["training.updates=0"], ["training.updates", "0"]),
    (["architecture.hidden_sizes=[0]"], ["architecture", "hidden_sizes=[0]"]),
    (["architecture.out_features=2"], ["architecture.out_features=2", "3 classes"]),
    (["optimizer.lr=-1"], ["optimizer", "lr must be above 0", "-1"]),
    (["optimizer.momentum=1.5"], ["optimizer", "momentum", "1.5"]),
    (["optimizer.nesterov=true"], ["optimizer", "nesterov", "momentum"]),
    (["initializer@initializer.bias=xavier_uniform"], ["initializer.bias", "fan_in"]),
    (["initializer.from=/nope"], ["initializer.from", "/nope"]),
    (["dataset=moons", "dataset.samples=3"], ["dataset.samples", "3"]),
    (["schedule=step", "schedule.step_size=0"], ["schedule", "step_size", "0"]),
    # what Hydra's grammar refuses
    (["optimizer"], ["'optimizer'", "key=value"]),
    (["seed=["], ["'seed=['"]),
    (["seed=1,2"], ["seed=1,2", "-m"]),
    (["--config-dir=/nope"], ["/nope"]),
    (["--multirn"], ["--multirn", "--help"]),
    (["--experimental-rerun=x"], ["pickle"]),
    (["optimizer._target_=nnlab.nope"], ["optimizer._target_", "nnlab.nope"]),
    # sweeps in which no job can run
    (["-m", "sed=1,2"], ["sed", "did you mean seed?"]),
    (["-m", "seed=1,2", "optimizer.lr=-1"], ["lr must be above 0"]),
    (["-m", "seed=a,b"], ["seed", "integer", "1 other problems: no job can run"]),
    (["-m", "seed=range(0)"], ["no jobs"]),
    # found by an outside check
    (["activation=null"], ["activation=null", "--help"]),
    (["activation@foo=relu"], ["activation@foo"]),
    (["activation._target_=os.system"], ["activation", "os.system"]),
    (["activation._target_=nnlab.nn.losses.CrossEntropy"], ["CrossEntropy", "no layer"]),
    (["dataset._target_=builtins.print"], ["dataset"]),
    (["dataset=moons", "dataset.samples=4000000000000"], ["memory"]),
    (["optimizer.lr=inf"], ["optimizer.lr", "finite number"]),
    (["experiment_name="], ["experiment_name", "at least 1 character"]),
    (["activation.x=1"], ["activation.x", "no settings"]),
    (["--cfg", "job", "foo=1"], ["foo", "no such key"]),
    (["--cfg=job", "loss=null"], ["loss=null", "--help"]),
    (["hydra.run.dir="], ["hydra.run.dir"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_one_line_that_names_the_key_and_the_choices(
    arguments: list[str], parts: list[str], outputs: Path
) -> None:
    with pytest.raises(NnlabError) as caught:
        app.train(arguments)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert caught.value.exit_code == 2
    assert not outputs.exists()


def test_flags_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    app.train(["seed=3", "--cfg=job", "training.epochs=7"])
    shown = capsys.readouterr().out
    assert "seed: 3\n" in shown
    assert "  epochs: 7\n" in shown


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    for arguments in (
        [f"hydra.run.dir={tmp_path / 'mine'}"],
        ["-m", f"hydra.sweep.dir={tmp_path / 'mine'}", "seed=1,2"],
    ):
        with pytest.raises(NnlabError, match="not empty"):
            app.train(arguments)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_outputs_that_are_a_file_are_refused(outputs: Path) -> None:
    outputs.write_text("")
    with pytest.raises(NnlabError, match="is a file"):
        app.train(["training.epochs=1"])


def test_a_reader_that_goes_away_does_not_take_the_run_with_it(outputs: Path) -> None:
    command = f"'{sys.executable}' -m nnlab train training.epochs=300 tracking=none | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (f"outputs  {outputs}\n", "")
    (directory,) = (outputs / "runs").iterdir()
    assert journal.read(directory).status == "FINISHED"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
@pytest.mark.parametrize(("arguments", "unbuffered"), [("compare --help", ""), ("--help", "1"), ("train --help", "")])
def test_help_that_can_not_be_printed_is_no_success(arguments: str, unbuffered: str) -> None:
    command = [sys.executable, "-m", "nnlab", *arguments.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("nnlab: the standard output: No space left on device")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("more", [[], ["-m", "seed=0,1"]])
def test_an_outputs_root_that_is_a_file_is_named_and_nothing_else(
    more: list[str], outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["train", "training.epochs=1", *more])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"nnlab: {outputs} is a file: ")


def test_a_file_system_that_refuses_a_run_is_all_that_is_said(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(locks, "is_locked", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["train", "training.epochs=1", "tracking=none", f"hydra.run.dir={outputs}/runs/a"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"nnlab: {outputs}/runs/a/journal.jsonl: Permission denied\n"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "foo://bar"])
def test_a_store_that_mlflow_does_not_take_is_refused_before_anything_trains(
    uri: str, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(NnlabError, match="is no store"):
        app.train(["training.epochs=1"])
    assert not outputs.exists()


def test_a_folder_where_the_store_should_be_is_refused(outputs: Path) -> None:
    (outputs / "mlflow.db").mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        main(["sync"])
    assert ended.value.code == 2


def test_a_process_prints_that_line_alone_and_ends_with_2(outputs: Path) -> None:
    command = [sys.executable, "-m", "nnlab", "train", "optimizer.lrr=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("nnlab: optimizer.lrr: there is no such key")
    assert done.stderr.count("\n") == 1
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ([], 2, "verb"),
        (["foo"], 2, "'train', 'resume', 'sync', 'compare'"),
        (["compare", "/nope"], 2, "/nope holds no run"),
        (["compare"], 2, "no runs"),
        (["evaluate", "/nope"], 2, "/nope"),
        (["ui", "--port", "99999"], 2, "65535"),
        (["ui", "--port", "x"], 2, "--port"),
        (["sync", "--exit-when-idle"], 2, "--follow"),
        (["data", "fetch", "foo"], 2, "fashion_mnist, iris, mnist, moons, wine"),
        (["train", "hydra.run.dir=/proc/nope/x", "tracking=none"], 1, "/proc/nope"),
    ],
)
def test_other_verbs_do_the_same(
    arguments: list[str], code: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    error = capsys.readouterr().err
    assert error.startswith("nnlab: ")
    assert error.count("\n") == 1
    assert part in error
