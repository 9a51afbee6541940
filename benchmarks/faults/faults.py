"""Every fault that is injected, by its name."""

from __future__ import annotations

from benchmarks.faults import (
    acknowledged,
    bad_server,
    damaged_checkpoint,
    damaged_journal,
    disk,
    divergence,
    ended,
    hostile_files,
    killed_checkpoint,
    killed_trainer,
    leaked_secrets,
    many_trainers,
    random_configs,
    server_outages,
    ui,
)
from benchmarks.faults.fault import Fault

FAULTS: dict[str, Fault] = {
    "killed_trainer": killed_trainer.FAULT,
    "ended": ended.FAULT,
    "acknowledged": acknowledged.FAULT,
    "many_trainers": many_trainers.FAULT,
    "killed_checkpoint": killed_checkpoint.FAULT,
    "server_killed": server_outages.KILLED,
    "server_gone": server_outages.GONE,
    "bad_server": bad_server.FAULT,
    "damaged_checkpoint": damaged_checkpoint.FAULT,
    "damaged_journal": damaged_journal.FAULT,
    "random_configs": random_configs.FAULT,
    "hostile_files": hostile_files.FAULT,
    "disk": disk.FAULT,
    "divergence": divergence.FAULT,
    "ui": ui.FAULT,
    "secrets": leaked_secrets.FAULT,
}
