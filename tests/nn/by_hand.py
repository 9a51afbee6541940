"""Backpropagation in lists of numbers, a sample at a time: Nielsen's equations BP1 to BP4."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = list[float]


class ByHand:
    """A network with one hidden layer of tanh and a softmax, trained with momentum 0.9."""

    def __init__(self, state: dict[str, NDArray[Any]], x: NDArray[Any], labels: NDArray[np.int64]) -> None:
        self.x, self.labels = x.tolist(), labels.tolist()
        self.w1, self.b1, self.w2, self.b2 = (array.tolist() for array in state.values())
        self.velocity: dict[tuple[int, ...], float] = {}

    @staticmethod
    def affine(weight: list[Vector], bias: Vector, x: Vector) -> Vector:
        return [b + sum(w * a for w, a in zip(row, x, strict=True)) for row, b in zip(weight, bias, strict=True)]

    def forward(self, x: Vector) -> tuple[Vector, Vector]:
        hidden = [math.tanh(z) for z in self.affine(self.w1, self.b1, x)]
        logits = self.affine(self.w2, self.b2, hidden)
        total = sum(math.exp(z) for z in logits)
        return hidden, [math.exp(z) / total for z in logits]

    def score(self, rows: list[int]) -> tuple[float, int]:
        """Sum of the losses and number of hits."""
        outputs = [self.forward(self.x[row])[1] for row in rows]
        losses = [-math.log(p[self.labels[row]]) for row, p in zip(rows, outputs, strict=True)]
        return sum(losses), sum(p.index(max(p)) == self.labels[row] for row, p in zip(rows, outputs, strict=True))

    def update(self, rows: list[int], lr: float) -> None:
        gradient: dict[tuple[int, ...], float] = {}

        def add(key: tuple[int, ...], value: float) -> None:
            gradient[key] = gradient.get(key, 0.0) + value / len(rows)

        for row in rows:
            x = self.x[row]
            hidden, p = self.forward(x)
            delta = [p[k] - (k == self.labels[row]) for k in range(len(self.b2))]
            for k in range(len(self.b2)):
                add((3, k), delta[k])
                for j in range(len(self.b1)):
                    add((2, k, j), delta[k] * hidden[j])
            for j in range(len(self.b1)):
                back = sum(self.w2[k][j] * delta[k] for k in range(len(self.b2))) * (1 - hidden[j] ** 2)
                add((1, j), back)
                for i in range(len(x)):
                    add((0, j, i), back * x[i])
        for key, value in gradient.items():
            self.velocity[key] = 0.9 * self.velocity.get(key, 0.0) + value
            row_or_bias = (self.w1, self.b1, self.w2, self.b2)[key[0]]
            target = row_or_bias[key[1]] if len(key) == 3 else row_or_bias
            target[key[-1]] -= lr * self.velocity[key]
