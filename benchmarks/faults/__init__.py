"""Faults that are injected into nnlab, again and again, to count what is lost."""
