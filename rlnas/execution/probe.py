"""Measure in which number format and memory layout this machine runs children fastest.

Only for execution=measured: on a busy machine the choice may differ, and with it every number of the run.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from rlnas.execution.rule import Choice, Layers

MARGIN = 1.15  # factor by which another choice must be faster than the default one, so that noise does not decide
REPEATS = 5
HOPELESS = 4  # a choice slower than the fastest by this factor in any turn is not measured again
VALUES = 2**18  # maximum of one layer's output: a step takes milliseconds, and more values change no ratio
SCORED = 2  # images scored for each one trained on: a search scores more than it trains


def pick(choices: Sequence[Choice], device: torch.device, layers: Layers) -> tuple[Choice, dict[Choice, float]]:
    """Return the choice to take, and for each the seconds of one small training step and scoring pass.

    The first choice is the default, taken unless another is faster by MARGIN. Takes about one second, about six
    where bfloat16 is emulated. A single choice is not measured.
    """
    if len(choices) == 1:
        return choices[0], {}
    steps = {choice: _step(choice, device, layers) for choice in choices}
    seconds = dict.fromkeys(choices, float("inf"))
    for repeat in range(1 + REPEATS):  # the first repeat is a warm-up
        taken = {}
        for choice, step in steps.items():  # alternate, so that a temporary slow-down affects all choices
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken[choice] = time.perf_counter() - start
        bound = HOPELESS * min(taken.values())
        # keep the default choice: it runs first, so its time includes the process's one-time costs
        steps = {choice: step for choice, step in steps.items() if choice == choices[0] or taken[choice] <= bound}
        for choice in taken if repeat else taken.keys() - steps.keys():
            seconds[choice] = min(seconds[choice], taken[choice])
    fastest = min(choices, key=lambda choice: seconds[choice])
    return (fastest if MARGIN * seconds[fastest] < seconds[choices[0]] else choices[0]), seconds


def _step(choice: Choice, device: torch.device, layers: Layers) -> Callable[[], None]:
    """Return a function that trains on some images and scores SCORED times as many, with ENAS's six operators."""
    layout = torch.channels_last if choice.channels_last else torch.contiguous_format
    channels = layers.channels

    def conv(kernel: int, groups: int = 1) -> nn.Module:
        # skip_init and a constant, since torch's initialisation would draw from the global generator
        layer: nn.Conv2d = nn.utils.skip_init(
            nn.Conv2d, channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        nn.init.constant_(layer.weight, 0.01)
        norm = nn.BatchNorm2d(channels, track_running_stats=False)
        return nn.Sequential(layer, norm, nn.ReLU(inplace=True))

    operators = [[conv(3)], [conv(5)], [conv(3, channels)], [conv(5, channels)]]
    operators += [[nn.AvgPool2d(3, 1, 1, count_include_pad=False)], [nn.MaxPool2d(3, 1, 1)]]
    net = nn.Sequential(*(layer for operator in operators for layer in (conv(1), *operator)))
    net = net.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    # fewer images where a layer would have more than VALUES
    shape = (max(1, min(layers.images, VALUES // (channels * layers.pixels))), channels, *layers.size)
    images = torch.linspace(-1, 1, math.prod(shape), device=device).view(shape).to(memory_format=layout)
    plain = choice.dtype == torch.float32

    def step() -> None:
        with contextlib.nullcontext() if plain else torch.autocast(device.type, choice.dtype):
            out = net(images)
            with torch.no_grad():
                for _ in range(SCORED):
                    net(images)
        out.float().mean().backward()

    return step
