"""Tracking servers that are killed, misbehave, or have many clients at once."""
