"""Tabular benchmarks: all architectures of a space with measured values. Does not import torch."""

from rlnas.config.spaces import NasBenchMacroConfig, TableConfig
from rlnas.tabular.benchmark import Benchmark
from rlnas.tabular.nas_bench_macro import read_nas_bench_macro
from rlnas.tabular.nasrl_bench import read_nasrl_bench
from rlnas.tabular.read import read_table

__all__ = ["Benchmark", "read_benchmark", "read_nas_bench_macro", "read_nasrl_bench", "read_table"]


def read_benchmark(config: TableConfig | NasBenchMacroConfig) -> Benchmark:
    """Read the benchmark of these options. Raises RlnasError for a missing or invalid file."""
    return read_table(config) if isinstance(config, TableConfig) else read_nas_bench_macro(config.path)
