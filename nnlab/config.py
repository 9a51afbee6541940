"""Config: the typed schema of a run's configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nnlab.components import Component, validated
from nnlab.hashing import canonical_hash
from nnlab.training import Diagnostic

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]

GROUPS = (
    "dataset",
    "augmentation",
    "architecture",
    "activation",
    "loss",
    "initializer",
    "optimizer",
    "schedule",
    "tracking",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Architecture(Component):
    """The architecture, what its last layer looks like, and activations of single layers by their position."""

    output_activation: Component
    out_features: Positive | None
    activations: dict[str, Component]


class LossConfig(Component):
    """The data loss, and the penalties that the objective adds to it."""

    l1: NotNegative
    l2: NotNegative


class Initializer(Component):
    """The weights' initialiser, the biases' one, those of single layers, and the folder that replaces them all."""

    bias: Component
    layers: dict[str, Component]
    from_: str | None = Field(alias="from")


class ScheduleConfig(Component):
    """The schedule, the unit that its t counts, and the warm-up before it."""

    per: Literal["update", "epoch"]
    warmup: Annotated[int, Field(ge=0)]
    start: Annotated[float, Field(ge=0, le=1)]


class EarlyStoppingConfig(_Section):
    """When a run ends before its epochs are over."""

    patience: Positive | None
    monitor: str
    min_delta: NotNegative
    restore_best: bool


class Training(_Section):
    """How long, in which batches, how precisely."""

    epochs: Positive
    updates: Positive | None
    batch_size: Positive | None
    batching: Literal["reshuffle", "sequential", "wrap"]
    eval_every: Positive
    log_every_updates: Positive | None
    dtype: Literal["float32", "float64"]
    blas_threads: Positive | None
    early_stopping: EarlyStoppingConfig
    diagnostics: list[Diagnostic]


class Checkpoint(_Section):
    """When checkpoints are written and which of them stay."""

    every: Positive | Literal["auto"] | None
    keep: Literal["best", "all"]


class Tracking(_Section):
    """Whether and how the run is mirrored into MLflow."""

    enabled: bool
    max_points: Annotated[int, Field(ge=3)] | None
    wait_seconds: NotNegative


class Config(_Section):
    """The whole configuration of one run, resolved: no interpolations, no ``hydra`` node."""

    seed: Annotated[int, Field(ge=0)]
    experiment_name: Annotated[str, Field(min_length=1, max_length=250)]
    dataset: Component
    augmentation: Component
    architecture: Architecture
    activation: Component
    loss: LossConfig
    initializer: Initializer
    optimizer: Component
    schedule: ScheduleConfig
    tracking: Tracking
    training: Training
    checkpoint: Checkpoint

    def components(self) -> dict[str, Component]:
        """Return every component by its place in the config."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        found |= {
            "architecture.output_activation": self.architecture.output_activation,
            "initializer.bias": self.initializer.bias,
            **{f"architecture.activations.{key}": node for key, node in self.architecture.activations.items()},
            **{f"initializer.layers.{key}": node for key, node in self.initializer.layers.items()},
        }
        return {name: node for name, node in found.items() if isinstance(node, Component)}

    def to_dict(self) -> dict[str, Any]:
        """Return the config as it is written to ``config.yaml``."""
        return self.model_dump(by_alias=True)

    def config_hash(self, blas_threads: int) -> str:
        """Return the canonical hash of what decides the numbers: groups, seed and training.

        Args:
            blas_threads: the number that was used; a different one may round differently.
        """
        node = self.to_dict()
        decides = {name: node[name] for name in (*GROUPS, "seed", "training") if name != "tracking"}
        decides["training"] = {**decides["training"], "blas_threads": blas_threads}
        return canonical_hash(decides)


def validate(node: Mapping[str, Any], *, shipped_only: bool = False, trusted: Collection[str] = ()) -> Config:
    """Check a composed and resolved config: keys, types, ranges, and each component against its own signature.

    Args:
        node: the config.
        shipped_only: refuse components that ``conf/`` doesn't ship; for configs that somebody saved.
        trusted: targets that are let through all the same, by their exact names.

    Raises:
        NnlabError: one line about the first thing that is wrong.
    """
    config = validated(Config, node)
    assert isinstance(config, Config)  # noqa: S101 - what validated() makes
    components = config.components()
    if shipped_only:  # all of them before the first is imported
        for where, component in components.items():
            component.check_shipped(where, trusted)
    for where, component in components.items():
        component.check(where)
    return config


def params(config: Config, choices: Mapping[str, str]) -> dict[str, Any]:
    """Return the config flattened with dots, and each group's choice by name: what runs are compared by.

    Args:
        config: of the run.
        choices: group -> name of the choice, ``{"activation": "relu", "initializer@initializer.bias": "zeros"}``.
    """
    flat = _flatten(config.to_dict())
    return {
        **{group.rpartition("@")[2]: name for group, name in choices.items()},
        **{name: value for name, value in flat.items() if not name.endswith("_target_")},
    }


def _flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in node.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
