"""Jobs for tests, composed as the command line composes them."""

from nnlab.compose import Job, compose_job, hydra_app


def job(*overrides: str) -> Job:
    """Return a small wine job that leaves no trace in MLflow."""
    given = ["tracking=none", "training.epochs=5", *overrides]
    with hydra_app(given) as app:
        return compose_job(app, given)
