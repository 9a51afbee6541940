"""Runs that end before their time, by a signal, an exception, or SIGKILL."""
