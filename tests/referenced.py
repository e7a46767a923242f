"""A chain with skips that has hand-made references: a residual and a plain chain of 3x3 convolutions."""

from typing import Any

from rlnas.spaces import NasrlSpace


class ReferencedSpace(NasrlSpace):
    """NasrlSpace with two references; its options are keyword arguments."""

    name = "tests.referenced.ReferencedSpace"

    def references(self) -> dict[str, Any]:
        residual = [f"conv3x3+{layer - 1}" if layer > 1 else "conv3x3" for layer in range(self.layers)]
        return {
            "residual_chain": self.parse(" ".join(residual)),
            "plain_chain": self.parse(" ".join(["conv3x3"] * self.layers)),
        }
