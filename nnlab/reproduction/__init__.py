"""Reproduction: past runs and published figures, done again and judged."""
