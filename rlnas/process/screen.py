"""Standard output and error that never end a run: closed, broken, or of an encoding that lacks a letter."""

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
    """A text stream around another one, or around none.

    Letters that its encoding lacks are written as escapes, \\u4f60. Once a write fails (the reader of a pipe has
    gone, a terminal was closed, a disk is full), nothing more is written, and the log says so.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written; returns the length of `text`."""
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
        """Flush, as far as anybody reads."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _give_up(self, error: Exception) -> None:
        stream, self._stream = self._stream, None
        if stream in (sys.__stdout__, sys.__stderr__) and stream is not None:
            with contextlib.suppress(OSError, ValueError):  # Python flushes the rest of the buffer when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        log.info("nothing is printed from here on: %s", error)


@contextmanager
def safe_streams() -> Iterator[None]:
    """sys.stdout and sys.stderr as a `Screen` each, until the end of the block."""
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

    Otherwise the next file that is opened gets the number, and what a library prints would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)  # the lowest free number is taken
