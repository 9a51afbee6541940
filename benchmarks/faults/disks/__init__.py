"""Disks that are full, read-only or out of order."""
