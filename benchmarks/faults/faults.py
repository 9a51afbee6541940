"""Every fault that is injected, by its name."""

from __future__ import annotations

from benchmarks.faults.access import leaked_secrets, ui
from benchmarks.faults.checkpoints import damaged_checkpoint, killed_checkpoint
from benchmarks.faults.disks import disk
from benchmarks.faults.fault import Fault
from benchmarks.faults.hostile import hostile_files
from benchmarks.faults.journals import damaged_journal
from benchmarks.faults.killed import acknowledged, ended, killed_trainer
from benchmarks.faults.odd import divergence, random_configs
from benchmarks.faults.servers import bad_server, many_trainers, server_outages

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
