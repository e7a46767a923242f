"""Exceptions whose messages are written for the user."""


class RlnasError(Exception):
    """An error whose message has the expected and actual value, the likely cause and the remedy, in one line.

    The command line prints the message without a traceback and exits with status 1.
    """


class Diverged(RlnasError):
    """The loss of a training is not finite."""


class Unwritable(RlnasError):
    """A file cannot be written; an existing file stays."""
