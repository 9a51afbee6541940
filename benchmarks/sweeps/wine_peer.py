"""The peer of ``wine64``: the same sweep as one would write it with Hydra's basic launcher and plain MLflow.

``python wine_peer.py -m 'seed=range(3)' framework=sklearn marks=FILE`` in an empty folder: each job trains 13-5-5-3 on
wine, evaluates val and test after each epoch, logs what it has with ``mlflow.log_metrics``, and in the end a picture of
the losses and the weights. It needs neither nnlab nor anything of this folder. What the clock said goes to ``marks``, a
line of JSON a job.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import hydra
import mlflow
import numpy as np
from hydra.core.config_store import ConfigStore
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

Metrics = dict[str, float]
Parts = dict[str, tuple[Any, Any]]


@dataclass
class Config:
    """What a run is made of; as small as it gets, which spares Hydra's time."""

    framework: str = "sklearn"
    seed: int = 0
    epochs: int = 300
    lr: float = 0.1
    hidden_sizes: list[int] = field(default_factory=lambda: [5, 5])
    marks: str = ""


ConfigStore.instance().store(name="config", node=Config)


@dataclass
class Marks:
    """When what happened, seconds since 1970; and of the epochs' seconds those in ``mlflow.log_metrics``."""

    began: float
    epochs_began: float
    epochs_ended: float
    ended: float
    logging: float


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(config: Any) -> None:
    """Do one job."""
    began = time.time()
    mlflow.set_tracking_uri(f"sqlite:///{Path('mlflow.db').resolve()}")
    mlflow.set_experiment("wine")
    parts = wine(config.seed)
    with mlflow.start_run(run_name=f"seed={config.seed}"):
        settings: Any = OmegaConf.to_container(config)
        mlflow.log_params({key: value for key, value in settings.items() if key != "marks"})
        epoch, weights = FRAMEWORKS[config.framework](config, parts)
        history: list[Metrics] = []
        logging, epochs_began = 0.0, time.time()
        for number in range(1, config.epochs + 1):
            metrics = {**epoch(), "lr": config.lr}
            history.append(metrics)
            before = time.perf_counter()
            mlflow.log_metrics(metrics, step=number)
            logging += time.perf_counter() - before
        epochs_ended = time.time()
        mlflow.log_figure(curves(history), "plots/loss.png")
        np.savez(f"weights-{config.seed}.npz", **weights())
        mlflow.log_artifact(f"weights-{config.seed}.npz", "checkpoints")
    with Path(config.marks).open("a") as file:
        file.write(json.dumps(asdict(Marks(began, epochs_began, epochs_ended, time.time(), logging))) + "\n")


def wine(seed: int) -> Parts:
    """Return 60 % for training, 20 % each to validate and test, standardised by the training part."""
    x, y = load_wine(return_X_y=True)
    x_train, x_rest, y_train, y_rest = train_test_split(x, y, train_size=0.6, stratify=y, random_state=seed)
    x_val, x_test, y_val, y_test = train_test_split(x_rest, y_rest, train_size=0.5, stratify=y_rest, random_state=seed)
    mean, std = x_train.mean(axis=0), x_train.std(axis=0)
    parts = {"train": (x_train, y_train), "val": (x_val, y_val), "test": (x_test, y_test)}
    return {name: (((x - mean) / std).astype(np.float32), y) for name, (x, y) in parts.items()}


def with_sklearn(config: Any, parts: Parts) -> tuple[Callable[[], Metrics], Callable[[], dict[str, Any]]]:
    """Return what does an epoch of full-batch gradient descent, and what gives the weights."""
    from sklearn.neural_network import MLPClassifier

    x, y = parts["train"]
    model = MLPClassifier(
        tuple(config.hidden_sizes),
        activation="tanh",
        solver="sgd",
        alpha=0.0,
        batch_size=len(x),
        learning_rate="constant",
        learning_rate_init=config.lr,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=config.seed,
    )
    classes = np.unique(y)

    def epoch() -> Metrics:
        model.partial_fit(x, y, classes=classes)
        metrics = {"train/loss": float(model.loss_)}
        for name in ("val", "test"):
            inputs, labels = parts[name]
            p = model.predict_proba(inputs)
            metrics[f"{name}/loss"] = float(-np.log(p[np.arange(len(labels)), labels]).mean())
            metrics[f"{name}/accuracy"] = float((p.argmax(axis=1) == labels).mean())
        return metrics

    def weights() -> dict[str, Any]:
        arrays = {f"weight{at}": array for at, array in enumerate(model.coefs_)}
        return arrays | {f"bias{at}": array for at, array in enumerate(model.intercepts_)}

    return epoch, weights


def with_torch(config: Any, parts: Parts) -> tuple[Callable[[], Metrics], Callable[[], dict[str, Any]]]:
    """Return the same in PyTorch, eager, with one thread, which suits so small a network."""
    import torch
    from torch.nn import functional

    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    sizes = [13, *config.hidden_sizes, 3]
    layers: list[Any] = []
    for before, after in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(before, after), torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr)
    tensors = {name: (torch.from_numpy(x), torch.from_numpy(y).long()) for name, (x, y) in parts.items()}
    x, y = tensors["train"]

    def epoch() -> Metrics:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        metrics = {"train/loss": loss.item()}
        with torch.no_grad():
            for name in ("val", "test"):
                inputs, labels = tensors[name]
                logits = model(inputs)
                metrics[f"{name}/loss"] = functional.cross_entropy(logits, labels).item()
                metrics[f"{name}/accuracy"] = (logits.argmax(dim=1) == labels).float().mean().item()
        return metrics

    return epoch, lambda: {name: tensor.numpy() for name, tensor in model.state_dict().items()}


FRAMEWORKS = {"sklearn": with_sklearn, "torch": with_torch}


def curves(history: list[Metrics]) -> Figure:
    """Draw the losses."""
    figure = Figure()
    axes = figure.add_subplot(xlabel="epoch", ylabel="loss")
    for name in ("train/loss", "val/loss", "test/loss"):
        axes.plot(range(1, len(history) + 1), [metrics[name] for metrics in history], label=name)
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
