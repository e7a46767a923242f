"""The space of a tabular benchmark: one decision a column."""

from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.spaces.independent import Decisions, IndependentSpace
from rlnas.tabular import Benchmark


class TableSpace(IndependentSpace):
    """Architectures are rows of a table. A step chooses one column's value.

    The text form is the values in column order, joined by commas: `3,relu,128`. Columns may have different
    numbers of values: the action has the largest number, the rest is masked.
    """

    benchmark: Benchmark

    def __init__(self, name: str, benchmark: Benchmark):
        self.name = name
        self.benchmark = benchmark
        self.fingerprint = benchmark.sha256
        choices = [len(values) for values in benchmark.values]
        super().__init__(choices, nvec=[max(choices)], layout=[[0]] * len(choices))

    def text(self, architecture: Sequence[int]) -> str:
        """Return the values, joined by commas."""
        values = zip(self.benchmark.values, self.check(architecture), strict=True)
        return ",".join(options[index] for options, index in values)

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return the value of each column by name."""
        chosen = zip(self.benchmark.decisions, self.benchmark.values, self.check(architecture), strict=True)
        return {name: options[index] for name, options, index in chosen}

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the values of the column `factor` in table order."""
        names = self.benchmark.decisions
        return self.benchmark.values[names.index(factor)] if factor in names else None

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text form; RlnasError says which value is wrong."""
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
