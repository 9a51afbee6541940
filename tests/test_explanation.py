"""What is wrong with overrides is said in words of ours, with what to write instead."""

from pathlib import Path

import pytest

from nnlab import app
from nnlab.errors import NnlabError


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["=1"], ["'=1' is no override", "key=value"]),
        (["="], ["'=' is no override"]),
        ([""], ["'' is no override"]),
        (["dataset.path=größe.csv"], ["""'dataset.path="größe.csv"'"""]),
        (["dataset.path=a(b).csv"], ["""'dataset.path="a(b).csv"'"""]),
        (["seed=nope(1)"], ["Unknown function 'nope'"]),
        (["seed=" + "9" * 5000], ["number that is too long"]),
        (["+optimizer=adam"], ["optimizer=NAME without a +"]),
        (["architecture.activations={1:relu}"], ["+activation@architecture.activations.1=NAME"]),
        (["initializer.layers.2=zeros"], ["+initializer@initializer.layers.2=NAME"]),
        (["optimizer={what:1}"], ["optimizer.what", "momentum"]),
        (["architecture.activations=relu"], ["architecture.activations", "section"]),
        (["++architecture.activations={1:{_target_:nnlab.nn.activations.Tanh}}"], ["the key 1 is no text"]),
        (["training=5", "training.epochs=1"], ["training.epochs", "another override replaces it"]),
        (["hydra.searchpath=[file:///nope]"], ["/nope", "no such folder"]),
        (["-m", "seed=range(0,1,0)"], ["step other than 0"]),
        (["-m", "seed=range(0,1000000000000)"], ["25,000", "divide it"]),
        (["-m", "seed=range(200)", "optimizer.lr=range(0.001,1,0.001)"], ["199,800 jobs"]),
        (["-m", "seed=interval(0,1)"], ["write range(...) or a,b,c"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_one_line_that_says_what_to_write(arguments: list[str], parts: list[str]) -> None:
    with pytest.raises(NnlabError) as caught:
        app.train(["tracking=none", *arguments])
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert message.isprintable()
    assert len(message) < 500
    for part in parts:
        assert part in message


def test_m_may_stand_anywhere(outputs: Path) -> None:
    app.train(["tracking=none", "training.epochs=1", "seed=1,2", "-m", "hydra.launcher.backend=sequential"])
    assert len([*outputs.glob("sweeps/*/[01]/journal.jsonl")]) == 2
