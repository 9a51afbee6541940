import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab.data import batches as batches_module
from nnlab.data.batches import Batches, Part
from nnlab.nn import CrossEntropy, Linear, Loss, Quadratic, ReLU, Sequential, Tanh
from nnlab.nn.penalty import Penalty
from nnlab.optim import SGD, Schedule
from nnlab.optim.schedules import constant, inverse
from nnlab.training import EarlyStopping, EpochResult, Plan, evaluate, train
from tests.nn.by_hand import ByHand

FEATURES, HIDDEN, CLASSES = 3, 4, 3
NUMBERS = np.random.default_rng(11)
X, Y = NUMBERS.normal(size=(19, FEATURES)), NUMBERS.integers(CLASSES, size=19)
TRAIN, VAL = np.arange(11), np.arange(11, 19)
STEPS = 3  # an epoch: 4 + 4 + 3 samples
OUTPUTS = "of the outputs of layer 2, Linear(4 -> 3)"


def a_part(rows: NDArray[np.int64], replicas: int = 1) -> Part:
    return Part(X, Y, CLASSES, np.tile(rows, (replicas, 1)))


class Run:
    """A small stack, ready to train; replica r shuffles with the seed r."""

    def __init__(self, lrs: tuple[float, ...] = (0.3,), loss: Loss | None = None, relu: bool = False) -> None:
        layers = [Linear(FEATURES, HIDDEN), ReLU() if relu else Tanh(), Linear(HIDDEN, CLASSES)]
        self.replicas, self.loss = len(lrs), loss or CrossEntropy()
        self.network = Sequential(layers, replicas=self.replicas, dtype=np.float64)
        for r in range(self.replicas):
            self.network.initialize(
                r, np.random.default_rng(50 + r), *[lambda rng, shape: rng.normal(0, 0.7, shape)] * 2
            )
        self.optimizer = SGD(self.network, lr=lrs, momentum=0.9)
        shuffling = [np.random.default_rng(r) for r in range(self.replicas)]
        self.batches = Batches(a_part(TRAIN, self.replicas), 4, "reshuffle", shuffling)
        self.schedules: list[Schedule] = [constant(1)] * self.replicas

    def train(self, plan: Plan) -> list[EpochResult]:
        parts = {"val": a_part(VAL, self.replicas)}
        return list(train(self.network, self.loss, self.optimizer, self.schedules, self.batches, plan, parts))


def test_the_loop_is_the_textbooks() -> None:
    run = Run()
    run.schedules = [inverse(6, gamma=0.5, power=1)]
    hand, order = ByHand(run.network.state_dict(), X, Y), np.random.default_rng(0)
    expected, step = [], 0
    for epoch in range(3):
        loss, hits, lr = 0.0, 0, math.nan
        shuffled = TRAIN[order.permutation(11)].tolist() if epoch else []
        for rows in [shuffled[:4], shuffled[4:8], shuffled[8:]] if epoch else []:
            batch_loss, batch_hits = hand.score(rows)
            loss, hits, lr, step = loss + batch_loss, hits + batch_hits, 0.3 / (1 + 0.5 * step), step + 1
            hand.update(rows, lr)
        val_loss, val_hits = hand.score(VAL.tolist())
        values = {"val/loss": val_loss / 8, "val/accuracy": val_hits / 8}
        expected.append(values | ({"train/loss": loss / 11, "train/accuracy": hits / 11, "lr": lr} if epoch else {}))
    for result, values in zip(run.train(Plan(epochs=2)), expected, strict=True):
        metrics = {name: array[0] for name, array in result.metrics.items() if not name.startswith("time/")}
        assert metrics == pytest.approx(values, rel=1e-12)
    for mine, theirs in zip((hand.w1, hand.b1, hand.w2, hand.b2), run.network.state_dict().values(), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-12, atol=1e-14)


def test_epoch_0_is_evaluated_and_has_neither_train_nor_lr() -> None:
    run = Run((0.3, 0.1))
    before = run.network.parameters.copy()
    first = next(train(run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(2), {"val": a_part(VAL)}))
    assert (first.epoch, first.step, first.failed, first.updates) == (0, 0, {}, [])
    assert first.metrics.keys() == {"val/loss", "val/accuracy", "time/eval_seconds"}
    np.testing.assert_array_equal(run.network.parameters, before)


@pytest.mark.parametrize(("updates", "epochs"), [(7, 3), (7, 9), (6, 2), (6, 9), (1, 1)])
def test_updates_end_the_run_in_mid_epoch_and_it_is_evaluated_there(updates: int, epochs: int) -> None:
    run = Run()
    results = run.train(Plan(epochs=epochs, updates=updates, eval_every=100))
    assert [result.step for result in results] == [*range(0, updates, STEPS), updates]
    assert ["val/loss" in result.metrics for result in results] == [True] + [False] * (len(results) - 2) + [True]
    hand, order = ByHand(Run().network.state_dict(), X, Y), np.random.default_rng(0)
    seen, loss = 0, 0.0
    for step in range(updates):
        if step % STEPS == 0:
            shuffled, seen, loss = TRAIN[order.permutation(11)].tolist(), 0, 0.0
        rows = shuffled[4 * (step % STEPS) :][:4]
        seen, loss = seen + len(rows), loss + hand.score(rows)[0]
        hand.update(rows, 0.3)
    np.testing.assert_allclose(run.network.state_dict()["0.weight"], hand.w1, rtol=1e-12)
    assert results[-1].metrics["train/loss"][0] == pytest.approx(loss / seen, rel=1e-12)


def test_eval_every_skips_epochs_but_not_the_first_and_last_and_changes_nothing_else() -> None:
    runs = [Run(), Run()]
    always, rarely = runs[0].train(Plan(epochs=8)), runs[1].train(Plan(epochs=8, eval_every=3))
    assert [result.epoch for result in rarely if "val/loss" in result.metrics] == [0, 3, 6, 8]
    for one, other in zip(always, rarely, strict=True):
        for name, values in other.metrics.items():
            if not name.startswith("time/"):
                np.testing.assert_array_equal(values, one.metrics[name])
    np.testing.assert_array_equal(runs[0].network.parameters, runs[1].network.parameters)


def test_log_every_updates_records_the_batch_before_its_update() -> None:
    run = Run()
    results = run.train(Plan(epochs=3, log_every_updates=2))
    recorded = {update.step: update for result in results for update in result.updates}
    assert [[update.step for update in result.updates] for result in results] == [[], [0, 2], [4], [6, 8]]
    hand, order = ByHand(Run().network.state_dict(), X, Y), np.random.default_rng(0)
    for step in range(9):
        if step % STEPS == 0:
            shuffled = TRAIN[order.permutation(11)].tolist()
        rows = shuffled[4 * (step % STEPS) :][:4]
        loss, hits = hand.score(rows)
        if step in recorded:
            assert recorded[step].loss[0] == pytest.approx(loss / len(rows), rel=1e-12)
            assert recorded[step].accuracy[0] == hits / len(rows)
        hand.update(rows, 0.3)


@pytest.mark.parametrize(
    ("lr", "epoch", "what"),
    [
        (1e3, 2, f"train/loss, val/loss, {OUTPUTS}"),  # the parameters are still finite
        (1e8, 1, f"val/loss, {OUTPUTS}"),
        (1e20, 1, f"train/loss, val/loss, {OUTPUTS}"),
        (1e100, 1, "layer 0, Linear(3 -> 4), weight"),
    ],
)
def test_a_diverging_replica_is_named_once_and_leaves_the_others_alone_to_the_bit(
    lr: float, epoch: int, what: str
) -> None:
    calm, wild = Run((0.05, 0.1), Quadratic(), relu=True), Run((0.05, 0.1, lr), Quadratic(), relu=True)
    calm_results, wild_results = calm.train(Plan(epochs=5)), wild.train(Plan(epochs=5))
    assert {result.epoch: result.failed for result in wild_results if result.failed} == {epoch: {2: what}}
    first_bad = next(result.epoch for result in wild_results if not np.isfinite(result.metrics["val/loss"][2]))
    assert first_bad == epoch
    for one, other in zip(calm_results, wild_results, strict=True):
        for name in one.metrics.keys() - {"time/train_seconds", "time/eval_seconds"}:
            np.testing.assert_array_equal(one.metrics[name], other.metrics[name][:2])
    np.testing.assert_array_equal(calm.network.parameters, wild.network.parameters[:2])
    assert np.isfinite(calm.network.parameters).all()


def test_the_first_layer_with_a_nan_is_named() -> None:
    run = Run((0.1, 0.1))
    results = train(run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(9), {"val": a_part(VAL, 2)})
    assert [next(results).failed for _ in range(3)] == [{}, {}, {}]
    run.network.state_dict(1)["2.bias"][0] = np.nan  # reaches every parameter within the epoch
    assert next(results).failed == {1: "layer 0, Linear(3 -> 4), weight"}
    run.network.state_dict(0)["0.bias"][0] = np.inf
    last = next(results)
    assert (last.epoch, list(last.failed)) == (4, [0])
    assert list(results) == []  # nobody is left


def test_all_diverged_ends_the_loop() -> None:
    results = Run((1e100, 1e3), Quadratic(), relu=True).train(Plan(epochs=50))
    assert [sorted(result.failed) for result in results] == [[], [0], [1]]


def test_warnings_are_off_for_divergence_only_and_not_in_the_callers_code() -> None:
    before = np.geterr()
    run = Run((1e100, 0.1), Quadratic(), relu=True)
    results = train(run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(2), {})
    for _ in results:
        assert np.geterr() == before
    assert np.isnan(evaluate(run.network, run.loss, a_part(VAL, 2))[0][0])  # and it does not warn


def test_evaluation_is_exact_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    loss, hits = ByHand(run.network.state_dict(), X, Y).score(list(range(19)))
    for chunk in (1, 4, 19, 2048):
        monkeypatch.setattr(batches_module, "EVALUATED", chunk)
        mean, accuracy = evaluate(run.network, run.loss, a_part(np.arange(19)))
        assert mean[0] == pytest.approx(loss / 19, rel=1e-13)
        assert accuracy[0] == hits / 19


def test_early_stopping_ends_a_replica_and_then_the_loop_and_changes_no_number() -> None:
    free = Run((2.0, 0.05)).train(Plan(epochs=40))
    losses = np.array([result.metrics["val/loss"] for result in free])
    run = Run((2.0, 0.05))
    stopping = EarlyStopping(2, patience=3)
    parts = {"val": a_part(VAL, 2)}
    results = list(
        train(
            run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(40), parts, early_stopping=stopping
        )
    )
    stops = {replica: result.epoch for result in results for replica in result.stopped}
    for replica in range(2):
        best, epoch = 0, 0
        while epoch - best < 3 and epoch < 40:
            epoch += 1
            best = epoch if losses[epoch, replica] < losses[best, replica] else best
        assert stops.get(replica, 40) == epoch
        improved = [result.epoch for result in results if replica in result.improved]
        assert improved[-1] == best
        expected = {replica: f"no better val/loss since epoch {best}"}
        if replica in stops:
            assert expected.items() <= results[stops[replica]].stopped.items()
    assert stops[0] < 40  # or this would show nothing
    assert len(results) == max(stops.get(replica, 40) for replica in range(2)) + 1
    for one, other in zip(free, results, strict=False):
        np.testing.assert_array_equal(one.metrics["val/loss"], other.metrics["val/loss"])


def test_the_penalty_is_in_the_gradient_and_a_metric_of_its_own_beside_the_data_loss() -> None:
    """S2's objective: the sum over the samples plus l2/2 sum w^2, one full batch."""
    run = Run(loss=CrossEntropy(reduction="sum"))
    penalty = Penalty(run.network, l2=0.3)
    batches = Batches(a_part(TRAIN), None, "sequential", [])
    sgd = SGD(run.network, lr=0.01)
    before = {name: array.copy() for name, array in run.network.state_dict().items()}
    results = list(
        train(run.network, run.loss, sgd, [constant(1)], batches, Plan(1), {"val": a_part(VAL)}, penalty=penalty)
    )
    hand = ByHand(before, X, Y)
    data_loss, _ = hand.score(TRAIN.tolist())
    assert results[1].metrics["train/loss"][0] == pytest.approx(data_loss / 11, rel=1e-12)  # the mean, without penalty
    for result, weights in ((results[0], before), (results[1], run.network.state_dict())):
        squares = sum(float(np.sum(weights[name] ** 2)) for name in ("0.weight", "2.weight"))
        assert result.metrics["penalty"][0] == pytest.approx(0.15 * squares, rel=1e-12)
    objective = (data_loss + results[0].metrics["penalty"][0]) / 11
    assert results[1].metrics["train/objective"][0] == pytest.approx(objective, rel=1e-12)
    hand.update(TRAIN.tolist(), 0.01 * 11)  # its gradient is the mean's
    by_hand = {"0.weight": hand.w1, "0.bias": hand.b1, "2.weight": hand.w2, "2.bias": hand.b2}
    for name, array in run.network.state_dict().items():
        decayed = 0.01 * 0.3 * before[name] if "weight" in name else 0.0
        np.testing.assert_allclose(array, np.array(by_hand[name]) - decayed, rtol=1e-11, atol=1e-13)


def test_the_objective_is_the_mean_over_batches_of_data_loss_and_penalty_before_each_update() -> None:
    run = Run()
    penalty = Penalty(run.network, l2=0.3)
    parts = {"val": a_part(VAL)}
    hand, order = ByHand(run.network.state_dict(), X, Y), np.random.default_rng(0).permutation(11)
    total = 0.0
    rows = TRAIN[order].tolist()
    run.optimizer = SGD(run.network, lr=0.3)
    results = list(
        train(run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(1), parts, penalty=penalty)
    )
    for batch in (rows[:4], rows[4:8], rows[8:]):
        w1, w2 = np.array(hand.w1), np.array(hand.w2)
        total += hand.score(batch)[0] + len(batch) * 0.15 * float(np.sum(w1**2) + np.sum(w2**2))
        hand.velocity.clear()  # plain SGD
        hand.update(batch, 0.3)
        hand.w1 = (np.array(hand.w1) - 0.3 * 0.3 * w1).tolist()
        hand.w2 = (np.array(hand.w2) - 0.3 * 0.3 * w2).tolist()
    assert results[1].metrics["train/objective"][0] == pytest.approx(total / 11, rel=1e-12)


def test_a_listener_hears_each_epochs_metrics_before_the_next_begins() -> None:
    run, heard = Run(), list[float]()

    def listen(metrics: Mapping[str, NDArray[np.float64]]) -> None:
        heard.append(float(metrics["val/loss"][0]))

    parts = {"val": a_part(VAL)}
    results = list(
        train(run.network, run.loss, run.optimizer, run.schedules, run.batches, Plan(3), parts, listeners=[listen])
    )
    assert heard == [result.metrics["val/loss"][0] for result in results]
