"""The one form to which every space compiles an architecture: graphs of operators. Torch-free."""
