"""Run folders: the files that a run writes and reads back."""
