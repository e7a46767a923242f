"""The process of a run: its streams, its caches, what its caller finds again."""
