"""Networks: layers, activations, losses, initialisers and architectures, on NumPy alone."""

from nnlab.nn.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from nnlab.nn.architectures import lenet, mlp
from nnlab.nn.batch_norm import BatchNorm1d, BatchNorm2d
from nnlab.nn.conv import Conv2d
from nnlab.nn.dropout import Dropout
from nnlab.nn.linear import Linear
from nnlab.nn.losses import MSE, CrossEntropy, Hinge, Loss, Quadratic, count_correct
from nnlab.nn.module import Module
from nnlab.nn.penalty import Penalty
from nnlab.nn.pooling import AvgPool2d, MaxPool2d
from nnlab.nn.sequential import Sequential
from nnlab.nn.shape import Flatten, Unflatten
from nnlab.nn.smooth_activations import ELU, GELU, SELU, SiLU, Softplus

__all__ = [
    "ELU",
    "GELU",
    "MSE",
    "SELU",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropy",
    "Dropout",
    "Flatten",
    "Hinge",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Loss",
    "MaxPool2d",
    "Module",
    "Penalty",
    "Quadratic",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "Unflatten",
    "count_correct",
    "lenet",
    "mlp",
]
