"""Metrics: which figures a run is going to have, known before it trains."""

from __future__ import annotations

from nnlab.build import Stack
from nnlab.errors import NnlabError
from nnlab.reproduction.claims import Figure


def check(figure: Figure, stack: Stack) -> None:
    """Refuse a figure that the runs of a stack won't have.

    Raises:
        NnlabError: there is no such metric or no such epoch; one line that lists the choices.
    """
    each_epoch, once = _names(stack)
    plan = stack.plan
    if figure.epoch is None and figure.metric in once | each_epoch:
        return
    if figure.metric not in each_epoch:
        known = sorted(each_epoch | once) if figure.epoch is None else sorted(each_epoch)
        kind = "" if figure.epoch is None else " of an epoch"
        raise NnlabError(f"its runs have no metric{kind} {figure.metric!r}; choose from {', '.join(known)}")
    first = 0 if figure.metric.startswith(("val/", "test/")) or figure.metric == "penalty" else 1
    is_evaluated = first == 1 or figure.epoch == plan.epochs or (figure.epoch or 0) % plan.eval_every == 0
    if figure.epoch is not None and not (first <= figure.epoch <= plan.epochs and is_evaluated):
        every = f", every {plan.eval_every}" if first == 0 and plan.eval_every > 1 else ""
        raise NnlabError(f"its runs have no {figure.name}; there are epochs {first} to {plan.epochs}{every}")


def _names(stack: Stack) -> tuple[set[str], set[str]]:
    """Return the metrics of each epoch, and those that stand once."""
    others = [part for part in stack.parts if part != "train"]
    evaluated = {f"{part}/{kind}" for part in others for kind in ("loss", "accuracy")}
    each_epoch = evaluated | {"train/loss", "train/accuracy", "lr", *stack.diagnostics.names()}
    once = {f"final/{part}_{kind}" for part in stack.parts for kind in ("loss", "accuracy")}
    if stack.penalty:
        each_epoch |= {"train/objective", "penalty"}
        once.add("final/penalty")
    if "val" in stack.parts:
        once |= {"best/epoch", *(f"best/{name.replace('/', '_')}" for name in evaluated)}
    if stack.restores_best:
        once.add("final/epoch")
    return each_epoch, once
