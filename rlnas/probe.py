"""A short measurement: in which number format and memory layout this machine trains children fastest."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

MARGIN = 1.25  # a less usual choice must be so many times faster, so that noise does not decide
REPEATS = 5
HOPELESS = 4  # a choice so many times slower than another, even once, is not measured again
IMAGES, CHANNELS, SIZE = 16, 32, 16  # of the probe's layers: what a search on a CPU trains


@dataclass(frozen=True)
class Choice:
    """A number format (float32: no autocast) and a memory layout."""

    dtype: torch.dtype
    channels_last: bool


def pick(choices: Sequence[Choice], device: torch.device) -> tuple[Choice, dict[Choice, float]]:
    """The choice to take, and the seconds of one small training step for each.

    The first choice is the usual one and is taken unless another is faster by MARGIN. Takes about 0.6
    seconds where bfloat16 is emulated, less elsewhere; where there is but one choice nothing is measured.
    """
    if len(choices) == 1:
        return choices[0], {}
    steps = {choice: _step(choice, device) for choice in choices}
    seconds = dict.fromkeys(choices, float("inf"))
    for repeat in range(1 + REPEATS):  # the first one warms up
        taken = {}
        for choice, step in steps.items():  # in turn, so that a slow moment of the machine meets all
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken[choice] = time.perf_counter() - start
        bound = HOPELESS * min(taken.values())
        # the usual choice stays: it runs first, so what a process pays once counts against it
        steps = {choice: step for choice, step in steps.items() if choice == choices[0] or taken[choice] <= bound}
        for choice in taken if repeat else taken.keys() - steps.keys():
            seconds[choice] = min(seconds[choice], taken[choice])
    fastest = min(choices, key=lambda choice: seconds[choice])
    return (fastest if MARGIN * seconds[fastest] < seconds[choices[0]] else choices[0]), seconds


def _step(choice: Choice, device: torch.device) -> Callable[[], None]:
    """Forward and backward through the kinds of layers that operators are made of."""
    layout = torch.channels_last if choice.channels_last else torch.contiguous_format

    def conv(kernel: int, groups: int = 1) -> nn.Module:
        # skip_init and a constant: torch's initialisation would draw from the global generator
        layer: nn.Conv2d = nn.utils.skip_init(
            nn.Conv2d, CHANNELS, CHANNELS, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        nn.init.constant_(layer.weight, 0.01)
        return nn.Sequential(layer, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True))

    net = nn.Sequential(conv(1), conv(3), conv(5, groups=CHANNELS), nn.MaxPool2d(3, 1, 1))
    net = net.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    shape = (IMAGES, CHANNELS, SIZE, SIZE)
    images = torch.linspace(-1, 1, IMAGES * CHANNELS * SIZE * SIZE, device=device).view(shape)
    images = images.to(memory_format=layout)
    plain = choice.dtype == torch.float32

    def step() -> None:
        with contextlib.nullcontext() if plain else torch.autocast(device.type, choice.dtype):
            out = net(images)
        out.float().mean().backward()

    return step
