"""Networks: layers, activations, losses, initialisers and architectures, on NumPy alone."""

from nnlab.nn.activations import Identity, ReLU, Sigmoid, Tanh
from nnlab.nn.architectures import mlp
from nnlab.nn.linear import Linear
from nnlab.nn.losses import MSE, CrossEntropy, Loss, Quadratic, count_correct
from nnlab.nn.module import Module
from nnlab.nn.sequential import Sequential

__all__ = [
    "MSE",
    "CrossEntropy",
    "Identity",
    "Linear",
    "Loss",
    "Module",
    "Quadratic",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "count_correct",
    "mlp",
]
