"""Executors: run independent pieces of work."""

from rlnas.executors.local import Executor, LocalExecutor

__all__ = ["Executor", "LocalExecutor"]
