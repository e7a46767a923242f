"""ENAS's published macro network, as far as the nasrl space expresses it (docs/spaces/nasnet.md)."""

from pathlib import Path

import pytest

from rlnas.networks.graph import cost
from rlnas.spaces import NasrlSpace

TEXT = (Path(__file__).parent / "published" / "enas_macro.txt").read_text(encoding="utf-8").strip()
OPERATORS = ("conv3x3", "sep_conv3x3", "conv5x5", "sep_conv5x5")


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        (TEXT, 30_254_122),
        # the published script replaces separable convolutions by full ones in the final network
        (TEXT.replace("sep_conv", "conv"), 41_866_090),
    ],
)
def test_the_published_macro_network_without_its_seven_skips_from_the_stem(text, parameters):
    """The paper reports 38.0 million for its network with more channels; seven skips are not in the space."""
    space = NasrlSpace(24, OPERATORS, filters=96, widen=2, merge="concat")
    architecture = space.parse(text)
    assert space.text(architecture) == text
    found = cost(space.graph(architecture, image_channels=3, image_size=32, classes=10)).params
    print(f"ENAS macro: {found:,} parameters, paper 38.0 million")
    assert found == parameters
