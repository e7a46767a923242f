"""On what and how tensors are computed."""
