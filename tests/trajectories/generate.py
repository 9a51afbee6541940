"""Train every case in PyTorch and store the data, the weights of epoch 0 and the trained ones.

    python tests/trajectories/generate.py           # writes tests/trajectories/trajectories.npz
    python tests/trajectories/generate.py --check   # trains again and compares with that file; 1 if they differ

Needs ``pip install -e '.[torch]'``; the tests themselves don't: they replay the file.

The file has ``x/<in_features>`` [samples, in_features], ``labels`` [samples], ``cases`` [cases, parts] (see
``cases.Case``), and for each network ``initial/<network>`` [size] and ``final/<network>`` [its cases, size]: parameters
and running statistics one after the other, in the order of PyTorch's ``state_dict``.
The same PyTorch writes the same bytes; another machine's may differ in the last bits, so ``--check`` allows 1e-10.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.trajectories import cases, torch_parts
from tests.trajectories.cases import CASES, EPOCHS, STEPS_PER_EPOCH, Case
from tests.trajectories.networks import CLASSES, FEATURES, NETWORKS, PIXELS

Arrays = dict[str, NDArray[Any]]


def problem() -> Arrays:
    """Draw three overlapping clusters, of points and of images, and the weights to start from."""
    rng = np.random.default_rng(20240)
    labels = np.arange(cases.SAMPLES) % CLASSES
    arrays: Arrays = {"labels": labels}
    for features in (FEATURES, PIXELS):
        x = rng.normal(0, 0.8, (cases.SAMPLES, features))
        arrays[f"x/{features}"] = x + rng.normal(0, 0.8, (CLASSES, features))[labels]
    for name in NETWORKS:
        state = torch_parts.network_of(Case(name), None).state_dict()
        arrays[f"initial/{name}"] = np.concatenate([draw(key, value.shape) for key, value in state.items()])
    return arrays


def draw(name: str, shape: Any) -> NDArray[np.float64]:
    """Draw an initial value, the same for the same name and shape: so that networks of the same sizes compare."""
    rng = np.random.default_rng([*name.encode(), *shape])
    low, high = (0.5, 1.5) if name.endswith("running_var") else (-0.7, 0.7)
    drawn: NDArray[np.float64] = rng.uniform(low, high, tuple(shape))
    return drawn.ravel()


def train(case: Case, arrays: Arrays) -> NDArray[np.float64]:
    """Return parameters and running statistics after ``EPOCHS`` epochs, one after the other."""
    network = torch_parts.network_of(case, np.random.default_rng(cases.DROPOUT_SEED))
    load(network, arrays[f"initial/{case.network}"])
    x, labels = torch.tensor(arrays[f"x/{NETWORKS[case.network].in_features}"]), torch.tensor(arrays["labels"])
    augment = torch_parts.augmentation_of(case, np.random.default_rng(cases.AUGMENTATION_SEED))
    optimizer = torch_parts.optimizer_of(case, network)
    schedule = torch_parts.schedule_of(case, optimizer)
    loss, clip = torch_parts.loss_of(case), torch_parts.clipping_of(case)
    schedule.evaluated(network, x, labels)
    for _ in range(EPOCHS):
        network.train()
        for step in range(STEPS_PER_EPOCH):
            rows = slice(step * cases.BATCH_SIZE, (step + 1) * cases.BATCH_SIZE)
            optimizer.zero_grad()
            (loss(network(augment(x[rows])), labels[rows]) + torch_parts.penalty_of(case, network)).backward()
            clip(network.parameters())
            optimizer.step()
            schedule.ended("update")
        schedule.ended("epoch")
        schedule.evaluated(network, x, labels)
    return np.concatenate([value.numpy().ravel() for value in network.state_dict().values()])


def load(network: Any, flat: NDArray[np.float64]) -> None:
    """Give a network its initial parameters and running statistics."""
    state, start = network.state_dict(), 0
    for value in state.values():
        value.copy_(torch.tensor(flat[start : start + value.numel()]).reshape(value.shape))
        start += value.numel()


def generate() -> Arrays:
    """Return what the file holds."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    arrays = problem()
    arrays["cases"] = np.array(CASES, "S")
    for name in NETWORKS:
        arrays[f"final/{name}"] = np.stack([train(case, arrays) for case in CASES if case.network == name])
    return arrays


def differences(new: Arrays) -> list[str]:
    """Name the arrays that the stored file lacks or has otherwise."""
    with np.load(cases.FILE, allow_pickle=False) as stored:
        names = [name for name in new if name not in stored] + [name for name in stored if name not in new]
        for name in new.keys() & stored.keys():
            one, other = new[name], stored[name]
            is_text = one.dtype.kind == "S"
            if one.shape != other.shape or (
                (one != other).any() if is_text else not np.allclose(one, other, rtol=0, atol=1e-10)
            ):
                names.append(name)
    return names


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the stored file instead of writing it")
    is_check = parser.parse_args().check
    arrays = generate()
    if is_check:
        differing = differences(arrays)
        print(f"{cases.FILE} differs in {', '.join(differing)}" if differing else f"{cases.FILE} is right")  # noqa: T201
        return 1 if differing else 0
    np.savez_compressed(cases.FILE, allow_pickle=False, **arrays)
    print(f"{cases.FILE}: {len(CASES)} trajectories, {cases.FILE.stat().st_size} bytes")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
