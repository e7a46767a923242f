"""Graphs of operators, to which every space compiles its architectures. Torch-free."""
