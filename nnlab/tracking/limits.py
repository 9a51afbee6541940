"""Limits of MLflow's stores, for those who need no more of it: to import ``mlflow`` takes 2 s."""

MAX_TAG = 5000  # characters of a tag or param; the least that any of its stores takes
