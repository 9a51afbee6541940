"""The notebook's way in."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab import checkpoint
from nnlab.build import streams
from nnlab.data import moons, wine
from nnlab.errors import NnlabError

QUICK = {"tracking": "none", "training.epochs": 5}


def test_all_is_exact_and_lazy() -> None:
    assert nnlab.__all__ == ["Network", "compare", "evaluate", "history", "load", "resume", "run"]
    for name in nnlab.__all__:
        assert callable(getattr(nnlab, name))
    with pytest.raises(AttributeError, match="nope"):
        _ = nnlab.nope


def test_run_gives_one_row_a_run(outputs: Path) -> None:
    runs = nnlab.run({**QUICK, "seed": 4, "activation": "relu"})
    assert len(runs) == 1
    row = runs.iloc[0]
    assert row["status"] == "FINISHED"
    assert row["seed"] == 4
    assert row["activation"] == "relu"
    assert Path(row["directory"]).parent == outputs / "runs"
    history = nnlab.history(row["directory"])
    assert list(history.index) == [0, 1, 2, 3, 4, 5]
    assert history["val/loss"].iloc[-1] == row["val/loss"]
    assert history.attrs["final/test_accuracy"] == row["final/test_accuracy"]


def test_showing_a_config_leaves_the_notebooks_signals_alone() -> None:
    before = signal.getsignal(signal.SIGPIPE)
    nnlab.run(["--cfg", "job"])
    assert signal.getsignal(signal.SIGPIPE) is before


def test_run_takes_python_values() -> None:
    given = {"training.batch_size": None, "architecture.hidden_sizes": (4, 3), "experiment_name": "it's mine, really"}
    row = nnlab.run({**QUICK, **given, "optimizer.nesterov": False}).iloc[0]
    assert row["training.batch_size"] is None
    assert row["architecture.hidden_sizes"] == "[4, 3]"
    assert row["experiment"] == "it's mine, really"
    with pytest.raises(NnlabError, match="sed"):
        nnlab.run("sed=3")


def test_run_with_m_gives_the_sweep() -> None:
    runs = nnlab.run(["-m", "seed=0,1,2", "activation=relu,tanh", "tracking=none", "training.epochs=2"])
    assert sorted(zip(runs["activation"], runs["seed"], strict=True)) == [
        (activation, seed) for activation in ("relu", "tanh") for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize("dataset", ["wine", "moons"])
def test_load_predicts_as_the_run_did_on_inputs_as_they_are(dataset: str) -> None:
    row = nnlab.run({**QUICK, "dataset": dataset, "training.epochs": 30}).iloc[0]
    data = wine() if dataset == "wine" else moons()
    split = data.splitter(streams(0).split)
    network = nnlab.load(row["directory"])
    assert network.epoch == 30
    accuracy = np.mean(network.predict(data.x[split.test]) == data.y[split.test])
    assert accuracy == row["final/test_accuracy"]
    loss, evaluated, samples = nnlab.evaluate(row["directory"])
    assert (loss, evaluated, samples) == (row["final/test_loss"], accuracy, len(split.test))
    assert nnlab.load(row["directory"], "0").epoch == 0
    assert nnlab.load(row["directory"], "best").epoch == row["best/epoch"]


def test_load_says_what_is_wrong() -> None:
    directory = Path(nnlab.run(QUICK).iloc[0]["directory"])
    with pytest.raises(NnlabError, match=r"\[n, 13\], got \[2, 4\]"):
        nnlab.load(directory).predict(np.zeros((2, 4)))
    with pytest.raises(NnlabError, match="choose last, best or an epoch of 0, "):
        nnlab.load(directory, "77")
    with pytest.raises(NnlabError, match="no part 'foo'"):
        nnlab.evaluate(directory, split="foo")
    with pytest.raises(NnlabError, match="no checkpoint"):
        nnlab.load(directory / "plots")
    with pytest.raises(NnlabError, match="no run"):
        nnlab.history(directory / "plots")


def test_a_checkpoint_names_only_components_that_nnlab_ships(tmp_path: Path) -> None:
    directory = Path(nnlab.run(QUICK).iloc[0]["directory"])
    arrays, manifest = checkpoint.read(checkpoint.find(directory))
    canary = tmp_path / "canary"
    manifest["network"]["activation"] = {"_target_": "pathlib.Path.touch", "self": str(canary)}
    checkpoint.write(tmp_path / "evil", arrays, manifest)
    with pytest.raises(NnlabError, match="does not ship"):
        nnlab.load(tmp_path / "evil")
    assert not canary.exists()


def test_a_checkpoint_loads_into_plain_numpy_by_pytorchs_names() -> None:
    directory = Path(nnlab.run({**QUICK, "architecture.hidden_sizes": [4, 6]}).iloc[0]["directory"])
    folder = directory / "checkpoints" / "epoch-000005"
    shapes = {path.stem: np.load(path).shape for path in folder.glob("*.npy") if path.stem[0].isdigit()}
    assert shapes == {
        "0.weight": (4, 13),
        "0.bias": (4,),
        "2.weight": (6, 4),
        "2.bias": (6,),
        "4.weight": (3, 6),
        "4.bias": (3,),
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["0.weight.npy"]["shape"] == [4, 13]
