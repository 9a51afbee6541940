"""Memory: what a stack needs, and how many replicas train side by side the fastest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnlab.build import build
from nnlab.config import Config
from nnlab.data.batches import PREPARED
from nnlab.nn.losses import Loss
from nnlab.nn.sequential import Sequential, without_spurious_warnings
from nnlab.optim.blocks import BLOCK_BYTES
from nnlab.training.loop import Optimizer

WORKING_SET = 6 * 2**20
"""Bytes that a stack may work on in an update before more replicas cost more than they save.

Measured in float32 on one core of an AMD EPYC with 1 MB of L2 and 32 MB of L3: cost a run over the size of the stack is
flat or lowest near it, from wine's 13-5-5-3 to MNIST's 784-512-256-10 (benchmarks/RESULTS.md has four such curves).
"""


def replica_bytes(network: Sequential, loss: Loss, optimizer: Optimizer, features: int, batch_size: int) -> int:
    """Return the bytes that each replica of a stack needs for batches of that size.

    itemsize * (parameters * (2 + arrays of the optimiser) + running means + batch_size * (features + outputs)) plus
    what the layers and the loss write into: found out by sending a batch of zeros through. See ``stack_bytes``.

    Args:
        network: of one replica, built for this alone: it is not fit for training afterwards.
        loss: on its outputs.
        optimizer: of this network.
        features: of the inputs.
        batch_size: samples.
    """
    x = np.zeros((1, features, batch_size), network.dtype)
    network.train()
    with without_spurious_warnings():
        outputs = network.forward(x)
        loss.forward(outputs, np.zeros_like(outputs))
        network.backward(loss.backward())
    own = [network.parameters, network.gradients, network.state, x, outputs, *optimizer.state_dict().values()]
    buffers = [*(layer.buffer for layer in network.layers), loss.scratch]
    return sum(array.nbytes for array in own) + sum(buffer.nbytes for buffer in buffers)


def stack_bytes(replica: int, replicas: int, samples: int, outputs: int, itemsize: int) -> int:
    """Return the peak of training a stack on shuffled minibatches, the data set itself excluded.

    replicas * (replica + 8 samples for the order + the labels and targets of 4,000 samples at a time), and 512 KiB for
    the optimiser's intermediate results.

    Args:
        replica: bytes of each, from ``replica_bytes`` for the largest batch, that of an evaluation (256) included.
        replicas: of the stack.
        samples: of the training part.
        outputs: of the network.
        itemsize: of the dtype, in bytes.
    """
    prepared = min(samples, PREPARED) * (8 + outputs + itemsize * outputs)
    return replicas * (replica + 8 * samples + prepared) + BLOCK_BYTES


LARGEST = 256
"""Replicas of a stack at most: the curves are flat before, and each run keeps a file open."""


def best_stack(configs: Sequence[Config]) -> int:
    """Return how many of these runs, which could share a stack, should."""
    if len(configs) == 1:
        return 1
    lone = build(configs[:1])
    needed = replica_bytes(lone.network, lone.loss, lone.optimizer, lone.dataset.features, lone.batches.batch_size)
    return min(max(1, WORKING_SET // needed), LARGEST)
