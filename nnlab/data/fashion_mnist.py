"""Fashion-MNIST: 70,000 pictures of clothes in 28 x 28 pixels, made to replace MNIST (Xiao, Rasul, Vollgraf 2017)."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.image_dataset import image_dataset
from nnlab.data.image_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageFiles

FASHION_MNIST = ImageFiles(
    name="fashion_mnist",
    sha256={
        TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    buckets=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        # The authors' own bucket has no TLS; the hashes make up for it.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
)

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist(
    *, split: Literal["50k-10k-10k", "60k-10k", "60k-5k-5k"] = "50k-10k-10k", standardize: bool = False
) -> Dataset:
    """Fashion-MNIST, x uint8 [70000, 784] and y [70000]: the 60,000 training images, then the 10,000 test images.

    Pixels are row-major, 0 = background .. 255; inputs are pixels / 255. Fetches the files if they are not there
    (seconds to a minute, 31 MB). The arrays are read once a process.

    Args:
        split: train-val-test. ``50k-10k-10k``: val is the last 10,000 of the training file. ``60k-10k``: no val.
            ``60k-5k-5k``: val is the first half of the test file, test the second.
        standardize: subtract the mean and divide by the standard deviation of the training part, pixel by pixel.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, a file that is not the published one, or no mirror to fetch it from.
    """
    source = "Fashion-MNIST (Xiao, Rasul, Vollgraf; Zalando): the IDX files train and t10k, verified by SHA-256"
    return image_dataset(FASHION_MNIST, CLASS_NAMES, source, split=split, standardize=standardize)
