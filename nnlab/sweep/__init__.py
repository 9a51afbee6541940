"""Sweeps: many runs from one command line, under one parent."""
