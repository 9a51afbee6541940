"""Configurations drawn at random, and those that diverge."""
