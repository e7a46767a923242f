"""Arguments as hydra's grammar and a POSIX shell read them: checked, explained, and written for pasting.

A value passes two readers: the shell takes off its quotes, then hydra takes off its own. Every command that is
printed, in a message or a report, is put together here.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from rlnas.config.composed import interpolated, not_interpolated
from rlnas.errors import RlnasError

PATHS = ("space.path", "data.path", "architecture", "resume", "hydra.run.dir", "hydra.sweep.dir")
# flags of hydra's command line whose next word is their value, no override
_TAKES_A_WORD = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p"}
_TAKES_A_WORD |= {"--info", "-i", "--cfg", "-c", "--experimental-rerun"}
_MULTIRUN = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def run_command(**values: str | Path) -> str:
    """`python -m rlnas key=value ...`, to be pasted into a shell; paths get what keeps them paths."""
    words = [override(key, str(value)) for key, value in values.items()]
    return " ".join(["python -m rlnas", *map(shell_word, words)])


def compare_command(folders: Sequence[str | Path], *more: str) -> str:
    """`python -m rlnas.compare FOLDER ...`, to be pasted into a shell."""
    return " ".join(["python -m rlnas.compare", *(shell_word(plain_path(str(item))) for item in folders), *more])


def typed(key: str, value: str | Path) -> str:
    """`key=value` as one shell word, whatever letters the value has."""
    return shell_word(override(key, str(value)))


def override(key: str, text: str) -> str:
    """`key=text` by hydra's grammar, in double quotes where hydra would read anything but that very text."""
    if key.lstrip("+") in PATHS:
        text = plain_path(text)
    plain = f"{key}={text}"
    return plain if _reads_as(plain, text) else f"{key}={_in_quotes(text)}"


def plain_path(path: str) -> str:
    """The same path where ~ is not the home folder and - starts no flag."""
    return f"./{path}" if path.startswith(("~", "-")) else path


def shell_word(word: str, home: str | None = None) -> str:
    """The word in quotes where a POSIX shell needs them. home: a path that is written as $HOME."""
    if not home or home not in word:
        return shlex.quote(word)
    return '"$HOME"'.join(shlex.quote(part) if part else "" for part in word.split(home))


def shown(path: Path) -> Path:
    """Relative to the working directory where that is shorter."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):  # the working directory may have been removed
        return path


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise RlnasError for an override that hydra cannot read, or reads as another path than was written.

    The message names the argument and says how to type it.
    """
    several = any(argument in _MULTIRUN for argument in arguments)
    for override_text in overrides_in(arguments):
        key, equal, value = override_text.partition("=")
        if not equal:
            continue
        parsed = _parse(override_text)
        if isinstance(parsed, HydraException):
            raise _unreadable(override_text, "hydra's grammar cannot read its value as it stands")
        name = key.lstrip("+")
        if parsed.is_sweep_override():
            if not several and name not in ("hydra.sweeper.params",):
                raise _unreadable(
                    override_text,
                    "it has several values, which need -m and start a run each",
                    f"; as a list: {shell_word(f'{key}=[{value}]')}" if name not in PATHS else "",
                )
        elif name in PATHS and value and not _is_path(parsed.value(), value):
            raise _unreadable(override_text, f"hydra reads its value as {parsed.value()!r}, expected a path")


def overrides_in(arguments: Sequence[str]) -> list[str]:
    """The overrides among the arguments of hydra's command line: neither flags nor their values."""
    if any(argument in ("-sc", "--shell-completion") for argument in arguments):
        return []
    before = ["", *arguments]
    return [
        argument
        for previous, argument in zip(before, arguments, strict=False)
        if not argument.startswith("-") and previous not in _TAKES_A_WORD
    ]


def value_of(argument: str) -> str | None:
    """The text that hydra would read in `key=value`; None for null and an empty value. See `check_arguments`."""
    check_arguments([argument])
    parsed = _parse(argument)
    assert isinstance(parsed, Override)
    value = parsed.value()
    if value is None or value == "":
        return None
    if not isinstance(value, str):  # a folder called 2026
        return argument.partition("=")[2]
    try:
        return interpolated(value)
    except RlnasError as error:
        raise RlnasError(f"{argument}: {error}") from None


def _is_path(value: Any, text: str) -> bool:
    """Whether hydra's value is the text that was typed: neither a list nor the number of 2026_01."""
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and str(value) == text)


def _unreadable(argument: str, reason: str, more: str = "") -> RlnasError:
    key, _, value = argument.partition("=")
    bare = value.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        bare = bare[1:-1]
    instead = shell_word(f"{key}={_in_quotes(bare)}")
    return RlnasError(f"argument {argument}: {reason}; type it as {instead}{more}")


def _parse(argument: str) -> Override | HydraException:
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException as error:
        return error


def _reads_as(argument: str, text: str) -> bool:
    parsed = _parse(argument)
    if isinstance(parsed, HydraException) or "${" in text or not text:
        return False
    return parsed.value() == text and not parsed.is_sweep_override() and text[0] not in "'\""


def _in_quotes(text: str) -> str:
    """The text as hydra's double-quoted value, with nothing to interpolate."""
    text = re.sub(r'(\\*)"', r'\1\1\\"', not_interpolated(text))  # hydra: the same before a quote
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f'"{text}"'
