"""The space of a tabular benchmark: one decision for each of its columns."""

from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.spaces.base import Architecture, Space
from rlnas.tabular import Benchmark


class TableSpace(Space):
    """Architectures are rows of a table. A step decides one column.

    The text form is the values in column order, joined by commas: `3,relu,128`. Columns may have different
    numbers of values: the action is as wide as the widest, the rest is masked.
    """

    def __init__(self, name: str, benchmark: Benchmark):
        self.name = name
        self.benchmark = benchmark
        choices = [len(values) for values in benchmark.values]
        super().__init__(choices, nvec=[max(choices)], layout=[[0]] * len(choices))

    def text(self, architecture: Sequence[int]) -> str:
        """The values, joined by commas."""
        values = zip(self.benchmark.values, self.check(architecture), strict=True)
        return ",".join(options[index] for options, index in values)

    def parse(self, text: str) -> Architecture:
        """The architecture of a text form; RlnasError says which value is wrong."""
        words = [word.strip() for word in text.split(",")]
        names = self.benchmark.decisions
        if len(words) != len(names):
            raise RlnasError(f"expected {len(names)} values joined by commas ({', '.join(names)}), got '{text}'")
        found = []
        for name, options, word in zip(names, self.benchmark.values, words, strict=True):
            if word not in options:
                raise RlnasError(f"{name} is '{word}', expected one of {', '.join(options)}")
            found.append(options.index(word))
        return tuple(found)
