"""Section: a heading, its tables and the goals in them, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """A figure and what it should be.

    Attributes:
        what: it says.
        value: measured; NaN where it was not.
        bound: it should reach, or with ``at_most`` not exceed.
        unit: behind both.
    """

    what: str
    value: float
    bound: float
    unit: str = "x"
    at_most: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether there is anything to judge."""
        return self.value == self.value

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def text(self) -> str:
        """The bound in words."""
        return f"at {'most' if self.at_most else 'least'} {self.bound:g}{self.unit}"

    @property
    def cells(self) -> list[str]:
        """The bound, and ``yes`` or ``**no**``."""
        verdict = "-" if not self.is_measured else "yes" if self.holds else "**no**"
        return [self.text, verdict]


@dataclass
class Section:
    """What one part of the benchmark found."""

    title: str
    lines: list[str] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Add a paragraph."""
        self.lines += [*lines, ""]

    def judge(self, goal: Goal | None) -> list[str]:
        """Keep a goal for the summary and return its two cells; two dashes for None."""
        if goal is None:
            return ["-", "-"]
        self.goals.append(goal)
        return goal.cells

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table."""
        self.say(*(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)))

    def __str__(self) -> str:
        return "\n".join([f"## {self.title}", "", *self.lines])


def summary(goals: Sequence[Goal]) -> str:
    """How many goals hold, and which don't."""
    measured = [goal for goal in goals if goal.is_measured]
    lost = [f"- {goal.what}: {goal.value:.3g}{goal.unit}, should be {goal.text}" for goal in measured if not goal.holds]
    head = f"{len(measured) - len(lost)} of {len(measured)} measured goals hold"
    head += f"; {len(goals) - len(measured)} could not be measured." if len(goals) > len(measured) else "."
    return "\n".join([head, *(["Those that don't:", "", *lost] if lost else [])])


def number(value: float, unit: str = "") -> str:
    """Three digits, or a dash for what was not measured."""
    if value != value:
        return "-"
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"
