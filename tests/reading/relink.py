"""The links of docs/reading.md that quote a line of code: find them, and put their line numbers right.

    python tests/reading/relink.py    # rewrites the numbers; 1 if a quoted line is nowhere in its file any more

A quotation is a link to a line with the line itself behind it in backticks, without its indentation and,
if one likes, without the comment at its end:
``[nnlab/nn/linear.py:44](../nnlab/nn/linear.py#L44) `np.matmul(self.weight, x, out=z)` ``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reading.md"
QUOTATION = re.compile(
    r"\[(?P<label>[^][:\n]+):(?P<shown>\d+)\]\(\.\./(?P<path>[^)#]+)#L(?P<line>\d+)\) `(?P<code>[^`]+)`"
)


class Quotation(NamedTuple):
    """One link with its quoted line."""

    path: str
    line: int
    code: str

    @classmethod
    def of(cls, match: re.Match[str]) -> Quotation:
        return cls(match["path"], int(match["line"]), match["code"])

    def __str__(self) -> str:
        return f"[{self.path}:{self.line}](../{self.path}#L{self.line}) `{self.code}`"

    def nearest(self) -> int | None:
        """The line of the file, counted from 1, that is the quoted one and closest to the link's number."""
        lines = (ROOT / self.path).read_text(encoding="utf-8").splitlines()
        places = [number for number, line in enumerate(lines, 1) if self.code in (line.strip(), _without_comment(line))]
        return min(places, key=lambda number: abs(number - self.line), default=None)


def _without_comment(line: str) -> str:
    return line.partition("  # ")[0].strip()


def quotations(text: str) -> Iterator[Quotation]:
    for match in QUOTATION.finditer(text):
        yield Quotation.of(match)


def wrong(quotation: Quotation) -> str | None:
    """Say what is wrong with a quotation; None if its line is where the link says."""
    if not (ROOT / quotation.path).is_file():
        return f"{quotation.path} is not there any more; docs/reading.md quotes `{quotation.code}` from it"
    nearest = quotation.nearest()
    if nearest is None:
        return f"{quotation.path} has no line `{quotation.code}` any more: write that passage of docs/reading.md anew"
    if nearest != quotation.line:
        move = f"from line {quotation.line} to {nearest}: run python tests/reading/relink.py"
        return f"{quotation.path}: `{quotation.code}` has moved {move}"
    return None


def relinked(text: str) -> str:
    """The text with every quotation's line where it is now; what can't be found stays as it is."""

    def put_right(match: re.Match[str]) -> str:
        quotation = Quotation.of(match)
        found = (ROOT / quotation.path).is_file() and quotation.nearest()
        return str(quotation._replace(line=found or quotation.line))

    return QUOTATION.sub(put_right, text)


def main() -> int:
    text = relinked(DOCUMENT.read_text(encoding="utf-8"))
    DOCUMENT.write_text(text, encoding="utf-8")
    problems = [problem for problem in map(wrong, quotations(text)) if problem]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
