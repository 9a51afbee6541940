"""Window: what layers share that slide a square window over images: sizes and padding."""

from __future__ import annotations

from nnlab.nn.module import Array, Module


class Window(Module):
    """A layer whose output at row h and column w depends on the input's rows and columns from h stride - padding on.

    Args:
        kernel_size: rows and columns of the window.
        stride: how far it moves from one output to the next.
        padding: rows and columns put around the image, on each side.

    Raises:
        ValueError: a kernel_size or stride below 1, or a padding below 0.
    """

    def __init__(self, kernel_size: int, stride: int, padding: int) -> None:
        super().__init__()
        if kernel_size < 1 or stride < 1 or padding < 0:
            raise ValueError(
                f"{type(self).__name__} needs kernel_size and stride of at least 1 and padding of at least 0, "
                f"got {kernel_size}, {stride} and {padding}"
            )
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def output_size(self, size: int) -> int:
        """Return how many places the window has along an axis of that size; what is left over is cut off.

        Raises:
            ValueError: the padded image is smaller than the window.
        """
        room = size + 2 * self.padding - self.kernel_size
        if room < 0:
            raise ValueError(
                f"{self!r} does not fit images of {size} rows or columns: make kernel_size smaller or padding larger"
            )
        return room // self.stride + 1

    def pad(self, x: Array, value: float) -> Array:
        """Return ``x``, ``[..., height, width, batch]``, with a frame of that value around each image."""
        if not self.padding:
            return x
        frame = self.padding
        *leading, height, width, batch = x.shape
        padded: Array = self.buffer("padded", (*leading, height + 2 * frame, width + 2 * frame, batch), x.dtype)
        padded[..., :frame, :, :] = padded[..., -frame:, :, :] = value
        padded[..., :frame, :] = padded[..., -frame:, :] = value
        self.inside(padded)[...] = x
        return padded

    def inside(self, padded: Array) -> Array:
        """Return the view of what ``pad`` put a frame around."""
        height, width = padded.shape[-3] - self.padding, padded.shape[-2] - self.padding
        return padded[..., self.padding : height, self.padding : width, :]
