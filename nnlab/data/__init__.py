"""Data sets as records of arrays; importing this pulls in NumPy and the standard library only."""

from nnlab.data.breast_cancer import breast_cancer
from nnlab.data.cache import data_dir
from nnlab.data.circles import circles
from nnlab.data.csv import csv
from nnlab.data.dataset import Dataset, Split, Splitter, fit_standardization, hash_arrays
from nnlab.data.digits import digits
from nnlab.data.fashion_mnist import fashion_mnist
from nnlab.data.iris import iris
from nnlab.data.mnist import mnist
from nnlab.data.moons import moons
from nnlab.data.npz import npz
from nnlab.data.splits import fixed, stratified, whole
from nnlab.data.wine import wine

__all__ = [
    "Dataset",
    "Split",
    "Splitter",
    "breast_cancer",
    "circles",
    "csv",
    "data_dir",
    "digits",
    "fashion_mnist",
    "fit_standardization",
    "fixed",
    "hash_arrays",
    "iris",
    "mnist",
    "moons",
    "npz",
    "stratified",
    "whole",
    "wine",
]
