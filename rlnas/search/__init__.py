"""The search: rounds, selection, the job."""
