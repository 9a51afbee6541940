"""Mirroring of journals into MLflow. The trainer needs ``follower`` alone, which does not import mlflow."""

import os

# MLflow reads them as it is imported, wherever here that happens first.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the tracker itself tries again
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")  # up to six hours, in the middle of a call
os.environ.setdefault("MLFLOW_ALLOW_HTTP_REDIRECTS", "false")  # whoever answers elsewhere would get the runs
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # with the password that may be in it
