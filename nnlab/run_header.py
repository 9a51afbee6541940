"""Run header: what journal and checkpoints say of a run before it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnlab import environment
from nnlab.address import address
from nnlab.build import Stack
from nnlab.build_network import network_outputs
from nnlab.compose import Job
from nnlab.hashing import code_version


def run_tags(job: Job, threads: int, data_hash: str) -> dict[str, str]:
    """Return the tags that every run begins with."""
    return {
        "nnlab.config_hash": job.config.config_hash(threads),
        "nnlab.code_version": code_version(),
        "nnlab.address": address(job.config, threads, data_hash),
        "seed": str(job.config.seed),
        **environment.git_tags(),
    }


def run_line(
    job: Job, name: str, parent: str | None, run_id: str, threads: int, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of a journal's first line."""
    tracking = job.config.tracking
    return {
        "run_id": run_id,
        "name": name,
        "experiment": job.config.experiment_name,
        "parent": parent,
        "user": environment.user(),
        "tracking": tracking.model_dump(exclude={"target"}) if tracking.enabled else None,
        "environment": {**environment.facts(), "blas_threads": threads},
        "overrides": list(job.overrides),
        "tags": dict(tags),
    }


def header(stack: Stack, replica: int) -> dict[str, Any]:
    """Return what a run's first line says of its data and length."""
    data, plan = stack.dataset, stack.plan
    return {
        "dataset": {
            "name": data.name,
            "hash": data.data_hash,
            "source": data.source,
            "samples": len(data.y),
            "features": data.features,
            "classes": data.classes,
            "parts": {name: part.size for name, part in stack.parts.items()},
        },
        "epochs": plan.budgets[replica] if plan.budgets else plan.epochs,
        "eval_every": plan.eval_every,
    }


def identity(stack: Stack, replica: int, threads: int) -> dict[str, Any]:
    """Return what the manifests of all of a run's checkpoints say: what the network is, and of which run."""
    config = stack.configs[replica]
    node = config.to_dict()
    return {
        "seed": config.seed,
        "network": {
            "in_features": stack.dataset.features,
            "out_features": network_outputs(config, stack.dataset),
            "architecture": node["architecture"],
            "activation": node["activation"],
            "dtype": config.training.dtype,
        },
        "optimizer": node["optimizer"],
        "schedule": node["schedule"],
        "class_names": list(stack.dataset.class_names),
        "config_hash": config.config_hash(threads),
    }
