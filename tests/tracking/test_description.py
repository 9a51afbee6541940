"""A sweep's description in MLflow: its finding and table, until a person writes there."""

from nnlab.tracking.description import NAME, described, unsent
from nnlab.tracking.limits import MAX_TAG

FIRST = {"nnlab.finding": "tanh beats relu", "nnlab.table": "| a |\n|---|\n| 1 |"}
LATER = {"nnlab.finding": "relu beats tanh", "nnlab.table": "| a |\n|---|\n| 2 |"}


def noted(tags: dict[str, str]) -> dict[str, str]:
    return {**tags, NAME: described(tags)}


def test_it_is_sent_where_there_is_none_and_again_when_the_finding_changes() -> None:
    assert described(FIRST) == "tanh beats relu\n\n| a |\n|---|\n| 1 |"
    assert unsent(noted(FIRST), {}) == noted(FIRST)
    assert unsent(noted(FIRST), noted(FIRST)) == {}
    assert unsent(noted(LATER), noted(FIRST)) == noted(LATER)


def test_what_a_person_has_written_stays() -> None:
    assert unsent(noted(LATER), {**noted(FIRST), NAME: "my best sweep"}) == LATER
    assert unsent(noted(LATER), {NAME: "written before there was a finding"}) == LATER


def test_a_long_one_ends_with_a_whole_line() -> None:
    tags = {"nnlab.finding": "few", "nnlab.table": "\n".join(f"| {number} |" for number in range(2000))}
    text = described(tags)
    assert MAX_TAG - 20 < len(text) <= MAX_TAG
    assert text.endswith(" |")
    assert unsent(noted(tags), noted(tags)) == {}
