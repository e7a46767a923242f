"""Standard output and error whose faults never end a run: closed, broken, or with an encoding that lacks a letter."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

log = logging.getLogger("rlnas")


class Screen:
    """A text stream that wraps another one, or None.

    Characters that its encoding lacks are written as escapes, \\u4f60. After the first failed write (the reader of a
    pipe ended, a terminal was closed, a disk is full) nothing more is written, which is logged.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` if the stream still works; return its length."""
        if self._stream is None:
            return len(text)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: the stream object was closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush if the stream still works."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _give_up(self, error: Exception) -> None:
        stream, self._stream = self._stream, None
        if stream in (sys.__stdout__, sys.__stderr__) and stream is not None:
            with contextlib.suppress(OSError, ValueError):  # Python flushes the rest of the buffer at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        log.info("nothing is printed from here on: %s", error)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Replace sys.stdout and sys.stderr by a `Screen` each during the block."""
    before = sys.stdout, sys.stderr
    streams = [stream if isinstance(stream, Screen) else Screen(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def occupy_standard_descriptors() -> None:
    """Open closed descriptors 0, 1, 2 on the null device.

    Otherwise the next opened file gets the number, and a library's output would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
