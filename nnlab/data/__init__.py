"""Data sets as records of arrays; importing this pulls in NumPy and the standard library only."""

from nnlab.data.cache import data_dir
from nnlab.data.dataset import Dataset, Split, Splitter, fit_standardization, hash_arrays
from nnlab.data.mnist import mnist
from nnlab.data.moons import moons
from nnlab.data.splits import fixed, stratified, whole
from nnlab.data.wine import wine

__all__ = [
    "Dataset",
    "Split",
    "Splitter",
    "data_dir",
    "fit_standardization",
    "fixed",
    "hash_arrays",
    "mnist",
    "moons",
    "stratified",
    "whole",
    "wine",
]
