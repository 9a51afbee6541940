import json
from pathlib import Path
from typing import Any

import pytest

from nnlab.errors import NnlabError
from nnlab.reproduction.markdown import markdown, write_markdown

ROOT = Path(__file__).parents[2]


def a_figure(metric: str, values: list[float], **claim: Any) -> dict[str, Any]:
    low, high = (0.90, 0.94) if len(values) > 1 else (None, None)
    reached: dict[str, Any] = {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
    reached |= {"min": min(values), "max": max(values), "values": values}
    none = {"epoch": None, "claimed": None, "judged": None, "within": None, "verdict": "reported"}
    return {"metric": metric, **none, "reached": reached} | claim


SAVED = {
    "what": "all",
    "date": "2026-11-21",
    "seconds": 130.0,
    "machine": {"cpu": "Abacus", "cores": 2, "python": "3.11.7", "packages": {"numpy": "2.4"}, "blas": "beads 1"},
    "rows": [
        {
            "experiment": "s9",
            "kind": "published",
            "honest": False,
            "protocol": "on the training set",
            "seeds": [0, 1, 2],
            "figures": [
                a_figure("final/train_accuracy", [0.99, 1.0], claimed=0.98, judged="at_least", verdict="BETTER"),
                a_figure(
                    "train/loss", [0.25], epoch=3, claimed=0.25, judged="equal", within=0.01, verdict="REPRODUCED"
                ),
                a_figure("train/loss", [0.11], epoch=9),
            ],
        },
        {
            "experiment": "s9",
            "kind": "published",
            "honest": True,
            "protocol": "on held-out | new samples",
            "seeds": [4, 5],
            "figures": [a_figure("final/test_accuracy", [0.91, 0.93])],
        },
    ],
}


def test_both_figures_stand_in_the_same_line() -> None:
    lines = markdown(SAVED).splitlines()
    assert lines[2] == (
        "| s9 | final/train_accuracy; on the training set; seeds 0 to 2 | ≥ 0.9800 (published) "
        "| 0.9950 ± 0.0200 (n = 2, 0.9900 to 1.0000) | BETTER "
        "| **0.9200 ± 0.0200 (n = 2, 0.9100 to 0.9300)** final/test_accuracy; on held-out \\| new samples; seeds 4, 5 |"
    )
    assert lines[3] == (
        "|  | train/loss at epochs 3, 9 | 0.250000 ± 0.01, - (published) "
        "| 0.250000, 0.110000 (n = 1) | REPRODUCED, reported |  |"
    )
    assert "`nnlab reproduce all`, 2 minutes of training on 2026-11-21: 2 cores of Abacus" in lines[-1]


def test_a_file_keeps_everything_but_the_table_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_markdown(path, "all", "first\n")
    assert path.read_text() == "first\n"
    path.write_text("# Title\n<!-- nnlab reproduce all -->\nold\n<!-- end -->\nmore\n<!-- end -->\n")
    write_markdown(path, "all", "new\n")
    assert path.read_text() == "# Title\n<!-- nnlab reproduce all -->\nnew\n<!-- end -->\nmore\n<!-- end -->\n"
    with pytest.raises(NnlabError, match="has no lines <!-- nnlab reproduce own -->"):
        write_markdown(path, "own", "other\n")


@pytest.mark.parametrize("what", ["all", "own"])
def test_the_readmes_table_is_the_one_that_was_generated(what: str, tmp_path: Path) -> None:
    saved = json.loads((ROOT / "docs" / "reproduced" / f"{what}.json").read_text())
    page = tmp_path / "README.md"
    page.write_text((ROOT / "README.md").read_text())
    write_markdown(page, what, markdown(saved))
    assert page.read_text() == (ROOT / "README.md").read_text()
    assert saved["reproduced"] is True
