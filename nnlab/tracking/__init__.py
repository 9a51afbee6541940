"""Mirroring of journals into MLflow. Only ``mirror`` imports mlflow; the trainer needs ``follower`` alone."""
