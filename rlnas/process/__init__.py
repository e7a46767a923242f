"""The process of a run: its streams, its caches, and the state to restore for its caller."""
