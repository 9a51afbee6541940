"""How runs are cut into chunks: every run once, only alike ones together, all workers done at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab import memory
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.sweep import stacks
from nnlab.sweep.stacks import Run, cut
from tests.jobs import job


@pytest.fixture(scope="module")
def configs() -> dict[str, Config]:
    """Configs of two kinds, which can't share a stack."""
    return {name: job(f"activation={name}").config for name in ("tanh", "relu")}


def sizes(chunks: list[list[int]]) -> list[int]:
    return [len(chunk) for chunk in chunks]


@pytest.fixture
def best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that 10 replicas are the fastest."""
    monkeypatch.setattr(memory, "best_stack", lambda configs: 10)


@pytest.mark.usefixtures("best")
@pytest.mark.parametrize(
    ("runs", "workers", "expected"),
    [
        (4, 1, [4]),  # as one stack
        (4, 2, [2, 2]),  # one for each worker
        (3, 2, [2, 1]),
        (2, 8, [1, 1]),
        (12, 1, [6, 6]),  # none larger than the best
        (21, 1, [7, 7, 7]),
        (20, 2, [10, 10]),
        (30, 2, [10, 10, 5, 5]),  # a third whole one would leave one worker without work
    ],
)
def test_alike_runs(runs: int, workers: int, expected: list[int], configs: dict[str, Config]) -> None:
    assert sizes(cut([Run(configs["tanh"], 100)] * runs, workers)) == expected


@pytest.mark.usefixtures("best")
def test_a_stack_has_at_most_as_many_runs_as_asked_for(configs: dict[str, Config]) -> None:
    assert sizes(cut([Run(configs["tanh"], 100)] * 9, 1, max_stack=4)) == [3, 3, 3]


@pytest.mark.usefixtures("best")
def test_the_most_expensive_chunk_is_first_and_long_runs_are_together(configs: dict[str, Config]) -> None:
    runs = [Run(configs["tanh"], epochs) for epochs in (10, 900, 10, 900)]
    assert cut(runs, 1, max_stack=2) == [[1, 3], [0, 2]]


@pytest.mark.usefixtures("best")
def test_runs_that_go_on_from_other_epochs_are_no_stack(configs: dict[str, Config]) -> None:
    runs = [Run(configs["tanh"], 100, start) for start in (0, 50, 0, 50)]
    assert cut(runs, 1) == [[0, 2], [1, 3]]


@pytest.mark.usefixtures("best")
@settings(deadline=None, max_examples=50)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(["tanh", "relu"]), st.integers(1, 500), st.sampled_from([0, 7]))),
    workers=st.integers(1, 9),
    max_stack=st.none() | st.integers(1, 12),
)
def test_every_run_is_in_one_chunk_with_runs_of_its_kind(
    kinds: list[tuple[str, int, int]], workers: int, max_stack: int | None, configs: dict[str, Config]
) -> None:
    chunks = cut([Run(configs[kind], epochs, start) for kind, epochs, start in kinds], workers, max_stack)
    assert sorted(run for chunk in chunks for run in chunk) == list(range(len(kinds)))
    for chunk in chunks:
        assert 1 <= len(chunk) <= min(10, max_stack or 10)
        assert len({(kinds[run][0], kinds[run][2]) for run in chunk}) == 1


def test_what_can_not_be_built_any_more_is_left_to_whoever_trains_it(
    configs: dict[str, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_configs: object) -> int:
        raise NnlabError("the data is gone")

    monkeypatch.setattr(memory, "best_stack", gone)
    assert cut([Run(configs["tanh"], 100)] * 2, 1) == [[0], [1]]


def test_epochs_of_a_number_of_updates() -> None:
    updates = job("training.updates=10", "training.batch_size=30").config  # 107 samples: 4 an epoch
    assert stacks.epochs([updates, job("training.epochs=7").config, updates]) == [3, 7, 3]
