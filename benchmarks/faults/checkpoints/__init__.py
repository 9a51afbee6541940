"""Checkpoints whose writer is killed, and damaged ones."""
