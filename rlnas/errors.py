"""The exceptions whose message is meant for the person at the keyboard."""


class RlnasError(Exception):
    """What was expected, what came, the likely cause and what to do, in one line.

    The command line prints the message without a traceback and exits with status 1.
    """


class Diverged(RlnasError):
    """The loss of a training is no longer finite."""


class Unwritable(RlnasError):
    """A file cannot be written; what was there stays."""
