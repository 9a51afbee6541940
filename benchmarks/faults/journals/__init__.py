"""Journals torn, spoiled, written by two, and dated by a clock that goes back."""
