"""Run folders: everything that a run writes, and reads back."""
