"""PyTorch's side of each part of a case: its own class where it has one, else composed from its primitives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tests.trajectories import cases
from tests.trajectories.cases import ACTIVATIONS, AUGMENTATIONS, CLIPPING, LOSSES, OPTIMIZERS, PENALTIES, Case
from tests.trajectories.networks import ACTIVATION, CLASSES, NETWORKS, OUTPUT_ACTIVATION
from tests.trajectories.torch_schedules import schedule_of

__all__ = ["augmentation_of", "clipping_of", "loss_of", "network_of", "optimizer_of", "penalty_of", "schedule_of"]

TORCH_ACTIVATIONS: dict[str, Any] = {
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "identity": torch.nn.Identity,
    "leaky_relu": torch.nn.LeakyReLU,
    "relu": torch.nn.ReLU,
    "selu": torch.nn.SELU,
    "sigmoid": torch.nn.Sigmoid,
    "silu": torch.nn.SiLU,
    # PyTorch cuts softplus off beyond its threshold of 20; nnlab follows the formula.
    "softplus": lambda beta=1.0: torch.nn.Softplus(beta, threshold=1000),
    "tanh": torch.nn.Tanh,
}


class InjectedDropout(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Dropout by the draws that nnlab makes: float32, one a number, the batch last, off where it is below p."""

    def __init__(self, p: float, rng: np.random.Generator | None) -> None:
        super().__init__()
        self.p, self.rng = p, rng

    def forward(self, x: Any) -> Any:
        """Switch units off while training."""
        if not self.training or self.rng is None:
            return x
        draws = self.rng.random((*x.shape[1:], x.shape[0]), np.float32)
        kept = torch.tensor(np.moveaxis(draws, -1, 0) >= np.float32(self.p))
        return torch.where(kept, x / (1 - self.p), torch.zeros_like(x))


class Untracked:
    """Batch normalisation without PyTorch's counter of batches, which plays no part as long as momentum is given."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __call__(self, *arguments: Any) -> Any:
        """Build the layer."""
        layer = self.kind(*arguments)
        layer.num_batches_tracked = None
        return layer


def network_of(case: Case, rng: np.random.Generator | None) -> Any:
    """Return the network of ``networks.NETWORKS``, layer by layer; ``rng`` is what dropout draws from."""
    network = NETWORKS[case.network]
    activation = ACTIVATIONS[case.activation]
    own: dict[str, Callable[..., Any]] = {
        ACTIVATION: lambda: TORCH_ACTIVATIONS[activation.choice](**activation.arguments),
        OUTPUT_ACTIVATION: TORCH_ACTIVATIONS[network.output_activation],
        "Unflatten": lambda *sizes: torch.nn.Unflatten(1, sizes),
        "Dropout": lambda p: InjectedDropout(p, rng),
        "BatchNorm1d": Untracked(torch.nn.BatchNorm1d),
        "BatchNorm2d": Untracked(torch.nn.BatchNorm2d),
    }
    layers = [(own.get(name) or getattr(torch.nn, name))(*arguments) for name, *arguments in network.layers]
    return torch.nn.Sequential(*layers).double()


def loss_of(case: Case) -> Callable[[Any, Any], Any]:
    """Return outputs, labels -> the loss of a batch; PyTorch has no ``quadratic``, and a hinge divided by classes."""
    choice, arguments = LOSSES[case.loss]
    reduction = arguments.get("reduction", "mean")

    def one_hot(outputs: Any, labels: Any) -> Any:
        return functional.one_hot(labels, CLASSES).to(outputs.dtype)

    def quadratic(outputs: Any, labels: Any) -> Any:
        a_sample = ((outputs - one_hot(outputs, labels)) ** 2).sum(dim=1) / 2
        return getattr(a_sample, reduction)()

    mse, hinge = torch.nn.MSELoss(reduction=reduction), torch.nn.MultiMarginLoss
    made: dict[str, Callable[[], Any]] = {
        "cross_entropy": lambda: torch.nn.CrossEntropyLoss(**arguments),
        "mse": lambda: lambda outputs, labels: mse(outputs, one_hot(outputs, labels)),
        "quadratic": lambda: quadratic,
        "hinge": lambda: lambda outputs, labels: CLASSES * hinge(**arguments)(outputs, labels),
    }
    loss: Callable[[Any, Any], Any] = made[choice]()
    return loss


def penalty_of(case: Case, network: Any) -> Any:
    """Return l1 sum |w| + l2 / 2 sum w^2 over the weights."""
    settings = PENALTIES[case.penalty]
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    l1, l2 = settings.get("l1", 0.0), settings.get("l2", 0.0)
    return sum(l1 * w.abs().sum() + l2 / 2 * (w * w).sum() for w in weights) if settings else 0.0


def clipping_of(case: Case) -> Callable[[Iterable[Any]], None]:
    """Return what clips the gradients of parameters: by value, then by norm."""
    settings = CLIPPING[case.clipping]

    def clip(parameters: Iterable[Any]) -> None:
        several = list(parameters)
        if "clip_value" in settings:
            clip_grad_value_(several, settings["clip_value"])
        if "clip_norm" in settings:
            clip_grad_norm_(several, settings["clip_norm"])

    return clip


class CaffeSGD(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """v = momentum v + lr g, w = w - v: the learning rate inside the velocity, which PyTorch does not have."""

    def __init__(self, groups: Any, lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    def step(self, closure: Any = None) -> None:
        """Update once."""
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    v = self.state[w].setdefault("velocity", torch.zeros_like(w))
                    g = w.grad + group["weight_decay"] * w
                    v.mul_(group["momentum"]).add_(group["lr"] * g)
                    w.sub_(v)


def optimizer_of(case: Case, network: Any) -> Any:
    """Return PyTorch's optimiser, with a parameter group of its own for what does not decay."""
    choice, given = OPTIMIZERS[case.optimizer]
    settings = {**given, "lr": cases.lr_of(case)}
    weight_decay, decay = settings.pop("weight_decay", 0.0), settings.pop("decay", "weights")
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {
            "params": [p for p in parameters if p.ndim == 1],
            "weight_decay": weight_decay if decay == "all" else 0.0,
        },
    ]
    if choice in ("adam", "adamw"):
        settings["betas"] = settings.pop("beta1", 0.9), settings.pop("beta2", 0.999)
    made: dict[str, Any] = {
        "sgd": CaffeSGD if settings.pop("velocity", "lr_outside") == "lr_inside" else torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "adagrad": torch.optim.Adagrad,
    }
    return made[choice](groups, **settings)


def augmentation_of(case: Case, rng: np.random.Generator) -> Callable[[Any], Any]:
    """Return what changes a batch [samples, pixels]: ``grid_sample`` by the draws that nnlab makes."""
    settings = AUGMENTATIONS[case.augmentation].arguments
    channels, height, width = cases.IMAGE_SHAPE

    def warp(x: Any) -> Any:
        bounds = [settings["max_shift"], settings["max_shift"], math.radians(settings["max_rotation"])]
        shift_x, shift_y, angle = torch.tensor((rng.uniform(-1.0, 1.0, (len(x), 3)) * bounds).T)[:, :, None, None]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        from_x, from_y = columns - (width - 1) / 2 - shift_x, rows - (height - 1) / 2 - shift_y
        # In grid_sample's units the centre is 0 and the first and last pixel's centres are -1 and 1.
        source = [
            (torch.cos(angle) * from_x - torch.sin(angle) * from_y) / ((width - 1) / 2),
            (torch.sin(angle) * from_x + torch.cos(angle) * from_y) / ((height - 1) / 2),
        ]
        images = x.reshape(len(x), channels, height, width)
        warped = functional.grid_sample(images, torch.stack(source, dim=-1), align_corners=True)
        return warped.reshape(x.shape)

    return warp if settings else lambda x: x
