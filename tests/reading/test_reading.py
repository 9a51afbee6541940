"""docs/reading.md says what the code says."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from nnlab.compose import compose_job, hydra_app
from tests.reading import relink, shown
from tests.reading.relink import DOCUMENT, QUOTATION, Quotation

TEXT = DOCUMENT.read_text(encoding="utf-8")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
DECIMAL = r"-?\d+\.\d+"
NAMED = re.compile(rf"`([^`]+)` = ({DECIMAL})")
TABLE = re.compile(r"^\|(.*)\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", re.M)


def fenced(language: str) -> list[str]:
    return [code for found, code in FENCED.findall(TEXT) if found == language]


def cells(row: str) -> list[str]:
    return [cell.strip().strip("`") for cell in row.strip("|").split("|")]


def shown_numbers() -> list[tuple[str, str]]:
    """Name and digits of each number, in the text and in tables."""
    found = NAMED.findall(TEXT)
    for header, rows in TABLE.findall(TEXT):
        for name, *values in map(cells, rows.splitlines()):
            columns = cells(header)[1:]
            found += [(f"{name}, {c}", v) for c, v in zip(columns, values, strict=True) if re.fullmatch(DECIMAL, v)]
    return found


@pytest.mark.parametrize("quotation", list(relink.quotations(TEXT)), ids=lambda q: f"{q.path}:{q.line}")
def test_every_quoted_line_is_where_its_link_points(quotation: Quotation) -> None:
    assert relink.wrong(quotation) is None


def test_every_link_to_a_line_quotes_it_and_says_the_number_that_it_leads_to() -> None:
    quoted = list(QUOTATION.finditer(TEXT))
    assert len(quoted) == len(re.findall(r"#L\d", TEXT)) > 50
    for match in quoted:
        assert match[0] == str(Quotation.of(match))


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", TEXT)
    assert [target for target in targets if not (DOCUMENT.parent / target).is_file()] == []


def test_relink_finds_a_line_again_and_names_one_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("a = 1\nb = 2  # two\n\n    a = 1\n    c = 3\n")
    monkeypatch.setattr(relink, "ROOT", tmp_path)
    text = "- [a.py:9](../a.py#L9) `a = 1`, [a.py:1](../a.py#L1) `b = 2`\n- [a.py:2](../a.py#L2) `d`\n"
    moved, far, gone = (relink.wrong(quotation) for quotation in relink.quotations(text))
    assert moved == "a.py: `a = 1` has moved from line 9 to 4: run python tests/reading/relink.py"
    assert far == "a.py: `b = 2` has moved from line 1 to 2: run python tests/reading/relink.py"
    assert gone == "a.py has no line `d` any more: write that passage of docs/reading.md anew"
    put_right = "- [a.py:4](../a.py#L4) `a = 1`, [a.py:2](../a.py#L2) `b = 2`\n- [a.py:2](../a.py#L2) `d`\n"
    monkeypatch.setattr(relink, "DOCUMENT", tmp_path / "document.md")
    relink.DOCUMENT.write_text(text)
    assert relink.main() == 1
    assert relink.DOCUMENT.read_text() == put_right
    assert relink.wrong(Quotation("absent.py", 1, "a")) is not None


def test_every_number_is_the_references_to_the_last_digit() -> None:
    numbers = shown.numbers()
    rounded = {(name, f"{numbers[name]:.{len(digits.partition('.')[2])}f}") for name, digits in shown_numbers()}
    assert set(shown_numbers()) == rounded
    assert numbers.keys() == {name for name, _ in shown_numbers()}


def test_no_decimal_number_stands_there_unchecked() -> None:
    without_checked = FENCED.sub(lambda match: match[2] if match[1] == "math" else "", TEXT)
    without_checked = NAMED.sub("", QUOTATION.sub("", without_checked))
    without_checked = re.sub(rf"(?<=\|) {DECIMAL} (?=\|)", "", without_checked)
    assert re.findall(r".*\d\.\d.*", without_checked) == []


def test_the_session_in_python_gives_what_it_shows() -> None:
    session = "\n".join(fenced("python"))
    test = doctest.DocTestParser().get_doctest(session, {}, DOCUMENT.name, str(DOCUMENT), 0)
    assert len(test.examples) > 10
    said: list[str] = []
    doctest.DocTestRunner().run(test, out=said.append)
    assert said == []


@pytest.mark.parametrize("command", fenced("sh"))
def test_every_command_composes(command: str) -> None:
    nnlab, verb, *overrides = shlex.split(command.replace("\\\n", " "))
    assert (nnlab, verb) == ("nnlab", "train")
    with hydra_app(overrides) as app:
        compose_job(app, overrides)
