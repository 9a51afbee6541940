"""Effort: how much of everything a run of the benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.tasks import MNIST_IMAGES, WINE_EPOCHS


@dataclass(frozen=True)
class Effort:
    """Repetitions and sizes; where less than the whole is trained, times are scaled up to the whole.

    Attributes:
        rounds: of the lone runs.
        epochs: of a lone run, in one repetition: the first batches after a pause are slower.
        few_rounds: of what takes longer.
        images: of MNIST, in an epoch.
        trial_images: of MNIST, where the size of a stack is chosen.
        stacks: sizes of nnlab's stacks that are tried for throughput.
        jax_stacks: the same of JAX's.
        wine_epochs: in one repetition.
        wine_stacks: the curve's sizes.
        memory_stacks: sizes whose memory is measured.
    """

    rounds: int = 5
    epochs: int = 3
    few_rounds: int = 3
    images: int = MNIST_IMAGES
    trial_images: int = 12_000
    stacks: tuple[int, ...] = (1, 2, 4, 8, 16)
    jax_stacks: tuple[int, ...] = (1, 4, 16)
    wine_epochs: int = WINE_EPOCHS
    wine_stacks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    memory_stacks: tuple[int, ...] = (1, 8, 64)


FULL = Effort()
QUICK = Effort(
    rounds=2,
    epochs=1,
    few_rounds=1,
    images=6_000,
    trial_images=2_000,
    stacks=(1, 4),
    jax_stacks=(1,),
    wine_epochs=450,
    wine_stacks=(1, 8, 64),
    memory_stacks=(1, 8),
)
