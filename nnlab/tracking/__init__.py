"""Mirroring of journals into MLflow. The trainer needs ``follower`` alone, which does not import mlflow."""

import os

# MLflow reads them as it is imported, wherever here that happens first.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the tracker itself tries again
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
