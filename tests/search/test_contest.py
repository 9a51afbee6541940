"""The pruners' decisions beside those worked out by hand."""

import math
import statistics
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from nnlab.search.contest import Contest
from nnlab.sweep.trials import Median, Settings, SuccessiveHalving


def complete(*values: float) -> FrozenTrial:
    """Return an earlier trial with these values after epochs 1, 2, ..."""
    reported = dict(enumerate(values, 1))
    return create_trial(state=TrialState.COMPLETE, value=values[-1], intermediate_values=reported)


def median(startup_trials: int = 0, warmup_epochs: int = 0, **others: object) -> Settings:
    pruner = Median(startup_trials=startup_trials, warmup_epochs=warmup_epochs)
    return Settings.model_validate({"pruner": "median", "median": pruner, **others})


def halving(min_epochs: int, reduction_factor: int = 2) -> Settings:
    pruner = SuccessiveHalving(min_epochs=min_epochs, reduction_factor=reduction_factor)
    return Settings(pruner="successive_halving", successive_halving=pruner)


def fed(contest: Contest, curves: Sequence[Sequence[Sequence[float]]]) -> dict[int, int]:
    """Feed what runs of trials would give after epochs 1, 2, ..., as long as their trial goes on."""
    for epoch in range(1, max(len(run) for trial in curves for run in trial) + 1):
        going_on = [
            (t, r)
            for t, trial in enumerate(curves)
            for r in range(len(trial))
            if t not in contest.pruned and epoch <= len(trial[r])
        ]
        contest.epoch(epoch, {(t, r): curves[t][r][epoch - 1] for t, r in going_on})
    return contest.pruned


EARLIER = [complete(9.0, 5.0, 1.0), complete(9.0, 4.0, 2.0), complete(9.0, 3.0, 3.0)]


def test_the_median_prunes_what_is_worse_than_the_median_of_the_complete_ones_so_far() -> None:
    curves = [[[8.0, 4.5, 0.1]], [[8.0, 3.9, 2.1]], [[8.0, 3.9, 1.9]], [[9.0, 4.0, 2.0]]]
    # After epoch 2 the median is 4: of trial 0 the best so far is 4.5. After epoch 3 it is 2: trial 1 has 2.1.
    assert fed(Contest(median(), EARLIER, [1, 1, 1, 1]), curves) == {0: 2, 1: 3}


def test_the_median_waits_for_trials_and_epochs() -> None:
    curves = [[[10.0, 10.0, 10.0]]]
    assert fed(Contest(median(startup_trials=4), EARLIER, [1]), curves) == {}
    assert fed(Contest(median(startup_trials=3), EARLIER, [1]), curves) == {0: 1}
    assert fed(Contest(median(warmup_epochs=3), EARLIER, [1]), curves) == {0: 3}


def test_where_the_metric_is_to_rise_the_low_ones_are_pruned() -> None:
    contest = Contest(median(metric="val/accuracy"), [complete(0.5), complete(0.7), complete(0.9)], [1, 1])
    assert fed(contest, [[[0.69]], [[0.71]]]) == {0: 1}


def test_a_trial_is_judged_by_the_mean_of_its_runs() -> None:
    contest = Contest(median(), EARLIER, [2, 2])
    assert fed(contest, [[[8.0, 1.0], [8.0, 7.2]], [[8.0, 1.0], [8.0, 6.8]]]) == {0: 2}
    assert contest.state(1).intermediate_values == {1: 8.0, 2: 3.9}


def test_a_run_that_has_ended_early_counts_with_its_last_value() -> None:
    contest = Contest(median(), EARLIER, [2])
    fed(contest, [[[2.0], [8.0, 5.9, 1.0]]])
    assert contest.state(0).intermediate_values == {1: 5.0, 2: 3.95, 3: 1.5}


def test_the_complete_ones_alone_decide() -> None:
    contest = Contest(median(), EARLIER, [1, 1, 1])
    fed(contest, [[[0.1, 0.1, 0.1]], [[0.1, 0.1, 0.1]], [[8.0, 3.9, 1.9]]])
    assert contest.pruned == {}  # trials 0 and 1 are far better than 2, but not complete


def test_a_failed_run_fails_its_trial_which_is_judged_no_more() -> None:
    contest = Contest(median(), EARLIER, [2, 1])
    contest.epoch(1, {(0, 0): math.nan, (0, 1): 20.0, (1, 0): 8.0})
    contest.epoch(2, {(0, 1): 20.0, (1, 0): 3.0})
    assert (contest.failed, contest.pruned) == ({0}, {})


def by_hand(values: Sequence[Sequence[float]], first: int, factor: int) -> dict[int, int]:
    """Return asynchronous successive halving, of trials that report in the order of their numbers.

    After first * factor ** rung epochs a trial goes on if it is among the best 1 / factor of those that have been at
    this rung so far, itself included; as long as these are fewer than factor, if it is the best of them.
    """
    rungs: dict[int, list[float]] = {}
    pruned: dict[int, int] = {}
    reached = dict.fromkeys(range(len(values)), 0)
    for epoch in range(1, len(values[0]) + 1):
        for trial, curve in enumerate(values):
            if trial in pruned or epoch < first * factor ** reached[trial]:
                continue
            at_rung = rungs.setdefault(reached[trial], [])
            at_rung.append(curve[epoch - 1])
            kept = sorted(at_rung)[: max(1, len(at_rung) // factor)]
            if curve[epoch - 1] > kept[-1]:
                pruned[trial] = epoch
            reached[trial] += 1
    return pruned


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 99), min_size=8, max_size=8), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(2, 4),
)
def test_halving_is_what_it_is_by_hand(values: list[list[int]], first: int, factor: int) -> None:
    curves = [[[float(value) for value in curve]] for curve in values]
    assert fed(Contest(halving(first, factor), [], [1] * len(values)), curves) == by_hand(
        [curve for (curve,) in curves], first, factor
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=6), st.integers(0, 6))
def test_a_contest_that_is_gone_on_with_says_what_it_would_have_said(values: list[list[int]], until: int) -> None:
    for pruning in (halving(1), median()):
        whole = Contest(pruning, EARLIER, [1] * len(values))
        curves = [[[float(value) for value in curve]] for curve in values]
        fed(whole, curves)
        # What journals hold: each trial as far as it came.
        held = [
            [{epoch: run[epoch - 1] for epoch in range(1, whole.pruned.get(t, len(run)) + 1)} for run in trial]
            for t, trial in enumerate(curves)
        ]
        again = Contest(pruning, EARLIER, [1] * len(values))
        again.replay(held, until=until)
        assert again.pruned == {trial: epoch for trial, epoch in whole.pruned.items() if epoch <= until}
        told = Contest(pruning, EARLIER, [1] * len(values))
        told.replay(held)
        for trial in range(len(values)):
            assert told.state(trial).intermediate_values == whole.state(trial).intermediate_values
            assert told.state(trial).system_attrs == whole.state(trial).system_attrs


def test_the_median_is_the_median() -> None:
    earlier = [complete(value) for value in (1.0, 2.0, 4.0, 8.0)]
    middle = statistics.median([1.0, 2.0, 4.0, 8.0])
    assert fed(Contest(median(), earlier, [1, 1]), [[[middle]], [[middle + 1e-9]]]) == {1: 1}
