import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlab.components import validated
from nnlab.errors import NnlabError
from nnlab.reproduction.claims import Claim, Figure, Reached, Verdict, judge, reached

AT_LEAST = Figure(metric="final/test_accuracy", value=0.98, judged="at_least")
EQUAL = Figure(metric="train/objective", epoch=2, value=0.432387, judged="equal", within=1e-6)
SPREAD = Figure(metric="test/accuracy", epoch=5, value=[0.92, 0.93, 0.91], judged="spread")
STUCK = Figure(metric="test/accuracy", value=[0.922, 0.921, 0.92, 0.919, 0.923, 0.918, 0.83], judged="spread")
LOSSES = Figure(metric="final/test_loss", value=[0.2, 0.3], judged="spread")
REPORTED = Figure(metric="final/test_accuracy")


def test_the_interval_of_four_values_by_hand() -> None:
    """Mean 2.5, s = sqrt(5/3), t(0.975, 3) = 3.182446 from a table."""
    half = 3.182446 * math.sqrt(5 / 3) / 2
    of = reached([1.0, 2.0, 3.0, 4.0])
    assert (of.mean, of.low, of.high) == pytest.approx((2.5, 2.5 - half, 2.5 + half), rel=1e-6)


def test_one_value_has_no_interval_and_equal_values_have_an_empty_one() -> None:
    assert reached([0.7]) == Reached((0.7,), 0.7, None, None)
    assert reached([0.7, 0.7, 0.7]) == Reached((0.7, 0.7, 0.7), 0.7, 0.7, 0.7)


@pytest.mark.parametrize(
    ("figure", "values", "verdict"),
    [
        (AT_LEAST, [0.9801, 0.9799, 0.9803], Verdict.REPRODUCED),  # the interval reaches below the claim
        (AT_LEAST, [0.985, 0.986, 0.987], Verdict.BETTER),
        (AT_LEAST, [0.979, 0.980, 0.9805], Verdict.NOT_REPRODUCED),  # its mean is below, though one run is above
        (AT_LEAST, [0.98], Verdict.REPRODUCED),
        (AT_LEAST, [0.99], Verdict.REPRODUCED),  # a single run has no interval
        (EQUAL, [0.4323875], Verdict.REPRODUCED),
        (EQUAL, [0.4323885], Verdict.NOT_REPRODUCED),
        (EQUAL, [0.432380], Verdict.NOT_REPRODUCED),  # lower is not better where equal is claimed
        (EQUAL, [0.432386, 0.4323895], Verdict.NOT_REPRODUCED),  # the mean would do, one run does not
        (SPREAD, [0.91, 0.93], Verdict.REPRODUCED),
        (SPREAD, [0.909, 0.909], Verdict.NOT_REPRODUCED),
        (SPREAD, [0.94, 0.95, 0.945], Verdict.BETTER),
        (SPREAD, [0.925, 0.95], Verdict.REPRODUCED),  # above the spread, but not surely
        (STUCK, [0.92, 0.921, 0.919], Verdict.REPRODUCED),
        (STUCK, [0.86, 0.861, 0.859], Verdict.NOT_REPRODUCED),  # one stuck reference run does not excuse all of ours
        (STUCK, [0.86], Verdict.REPRODUCED),  # of a single run nothing is known but that it is in the spread
        (LOSSES, [0.25, 0.28], Verdict.REPRODUCED),
        (LOSSES, [0.31, 0.32], Verdict.NOT_REPRODUCED),
        (LOSSES, [0.10, 0.11, 0.105], Verdict.BETTER),
        (REPORTED, [0.1], Verdict.REPORTED),
        (AT_LEAST, [math.nan], Verdict.NOT_REPRODUCED),
    ],
)
def test_verdicts(figure: Figure, values: list[float], verdict: Verdict) -> None:
    assert judge(figure, reached(values)) is verdict


def test_a_claim_is_met_to_the_digits_it_was_printed_with() -> None:
    wine = Figure(metric="final/train_accuracy", value=0.994382022472, judged="at_least")
    assert judge(wine, reached([177 / 178])) is Verdict.REPRODUCED  # 0.99438202247191...
    assert judge(wine, reached([177 / 178, 177 / 178])) is Verdict.REPRODUCED  # and no better than itself
    assert judge(wine, reached([176 / 178])) is Verdict.NOT_REPRODUCED


def test_a_failed_run_fails_the_claim_whatever_the_others_reached() -> None:
    assert judge(AT_LEAST, reached([0.99, 0.991]), failed=1) is Verdict.NOT_REPRODUCED
    assert judge(AT_LEAST, None, failed=2) is Verdict.NOT_REPRODUCED
    assert judge(REPORTED, None, failed=2) is Verdict.REPORTED


@given(st.lists(st.floats(0.5, 1.0), min_size=2, max_size=8), st.floats(0.5, 1.0))
def test_better_is_only_what_meets_the_claim_and_lower_claims_are_easier(values: list[float], claim: float) -> None:
    order = [Verdict.NOT_REPRODUCED, Verdict.REPRODUCED, Verdict.BETTER]
    of = reached(values)
    figure = Figure(metric="final/test_accuracy", value=claim, judged="at_least")
    easier = Figure(metric="final/test_accuracy", value=claim - 0.1, judged="at_least")
    assert order.index(judge(easier, of)) >= order.index(judge(figure, of))
    assert (judge(figure, of) is Verdict.NOT_REPRODUCED) == (of.mean < claim - 1e-9)


def a_claim(**changes: object) -> dict[str, object]:
    figure = {"metric": "final/test_accuracy", "value": 0.9, "judged": "at_least"}
    return {
        "system": "S1",
        "kind": "published",
        "protocol": "on the training set",
        "cost": 3.0,
        "seeds": [0, 1],
        "figures": [figure],
    } | changes


def with_figure(**changes: object) -> dict[str, object]:
    return a_claim(figures=[{"metric": "final/test_accuracy", "value": 0.9, "judged": "at_least"} | changes])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (a_claim(seeds=[1, 1]), "given twice"),
        (a_claim(seeds=[]), "claim.seeds"),
        (a_claim(protocol="\x1b[31mred"), "must be printable"),
        (a_claim(kind="rumoured"), "'published', 'rerun' or 'own'"),
        (a_claim(sedes=[1]), "did you mean seeds"),
        (a_claim(overrides={"hydra.run.dir": "elsewhere"}), "'hydra.run.dir' is no key"),
        (a_claim(overrides={"a=1,b": 1}), "is no key"),
        (with_figure(judged=None), "go together"),
        (with_figure(value=[0.9, 0.8]), "judged: spread"),
        (with_figure(judged="spread"), "judged: spread"),
        (with_figure(value=[0.9], judged="spread"), "1 reference values for 2 seeds"),
        (with_figure(within=0.1), "within is what judged: equal takes"),
        (with_figure(metric="final/test_loss"), "for accuracies"),
        (with_figure(judged="about"), "claim.figures[0].judged"),
        (with_figure(metrik="x"), "claim.figures[0].metrik: there is no such key"),
    ],
)
def test_a_wrong_claim_is_named_in_one_line(node: dict[str, object], message: str) -> None:
    validated(Claim, a_claim(), "claim")
    with pytest.raises(NnlabError, match="claim") as raised:
        validated(Claim, node, "claim")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
