"""The rule for `auto`: number format, memory layout and threads from the hardware and the sizes of the layers.

It uses no clock: the same configuration on the same hardware gets the same settings, whatever the load.
docs/execution.md has the measurements it is derived from; `python -m benchmarks.execution` repeats them.
"""

from dataclasses import dataclass

import torch

from rlnas.execution.processor import native_bfloat16

# Pixels of the largest map from which bfloat16 is faster, by the unit that multiplies it. Below, or without such a
# unit, casting the weights at every operator takes longer than the multiplications save.
BFLOAT16_PIXELS = {"amx": 16 * 16, "avx512": 32 * 32, "cuda": 16 * 16}
VALUES_PER_THREAD = 2**17  # of one layer's output; with fewer, synchronising the threads takes longer than computing


@dataclass(frozen=True)
class Choice:
    """A number format (float32: no autocast) and a memory layout."""

    dtype: torch.dtype
    channels_last: bool


@dataclass(frozen=True)
class Layers:
    """The largest layers of a phase, those before any reduction.

    images: in a training step. channels and size, (height, width) in pixels: of a layer's output.
    """

    images: int = 16
    channels: int = 32
    size: tuple[int, int] = (16, 16)

    @property
    def pixels(self) -> int:
        """Pixels of one map."""
        return self.size[0] * self.size[1]

    @property
    def values(self) -> int:
        """Values of one layer's output in a step."""
        return self.images * self.channels * self.pixels


def choose(device: torch.device, layers: Layers) -> Choice:
    """Return the number format and memory layout in which these layers run (almost) fastest on this hardware."""
    least = BFLOAT16_PIXELS.get(_unit(device))
    dtype = torch.bfloat16 if least is not None and layers.pixels >= least else torch.float32
    return Choice(dtype, channels_last=True)


def threads_for(layers: Layers, cores: int) -> int:
    """Return how many of `cores` threads compute one operator of these layers, 1..cores."""
    return max(1, min(cores, layers.values // VALUES_PER_THREAD))


def _unit(device: torch.device) -> str:
    """Return the unit that multiplies bfloat16, a key of BFLOAT16_PIXELS; "" if there is none."""
    if device.type == "cuda":
        # major 8 is Ampere: older cards emulate bfloat16, which torch.cuda.is_bf16_supported() counts as support
        return "cuda" if torch.cuda.get_device_capability(device)[0] >= 8 else ""
    return native_bfloat16() if device.type == "cpu" else ""
