"""Portable: runs and sweeps as one file, from one outputs root to another and back."""
