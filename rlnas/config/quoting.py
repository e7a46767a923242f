"""Quote and check command-line arguments for hydra's grammar and a POSIX shell.

A value is parsed twice: the shell removes its quotes, then hydra removes its own. Every command printed in a message
or a report is composed here.
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
# flags of hydra's command line; the next argument is their value, not an override
_TAKES_A_WORD = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p"}
_TAKES_A_WORD |= {"--info", "-i", "--cfg", "-c", "--experimental-rerun"}
_MULTIRUN = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def run_command(**values: str | Path) -> str:
    """Return `python -m rlnas key=value ...`, quoted for a shell; paths are protected by `plain_path`."""
    words = [override(key, str(value)) for key, value in values.items()]
    return " ".join(["python -m rlnas", *map(shell_word, words)])


def compare_command(folders: Sequence[str | Path], *more: str) -> str:
    """Return `python -m rlnas.compare FOLDER ...`, quoted for a shell."""
    return " ".join(["python -m rlnas.compare", *(shell_word(plain_path(str(item))) for item in folders), *more])


def typed(key: str, value: str | Path) -> str:
    """Return `key=value` as one shell word, for any characters in the value."""
    return shell_word(override(key, str(value)))


def override(key: str, text: str) -> str:
    """Return `key=text` in hydra's grammar, in double quotes where hydra would not read exactly that text."""
    if key.lstrip("+") in PATHS:
        text = plain_path(text)
    plain = f"{key}={text}"
    return plain if _reads_as(plain, text) else f"{key}={_in_quotes(text)}"


def plain_path(path: str) -> str:
    """Return the path, with ./ in front if it starts with ~ or -, so that it is neither a home folder nor a flag."""
    return f"./{path}" if path.startswith(("~", "-")) else path


def shell_word(word: str, home: str | None = None) -> str:
    """Quote the word where a POSIX shell needs it. home: a path to write as $HOME."""
    if not home or home not in word:
        return shlex.quote(word)
    return '"$HOME"'.join(shlex.quote(part) if part else "" for part in word.split(home))


def quoted(word: str) -> str:
    """Quote a word for a POSIX shell; the user's home folder becomes $HOME."""
    return shell_word(word, _home())


def without_home(text: str, instead: str = "~") -> str:
    """Replace the path of the user's home folder; a longer path that contains it is another one."""
    home = _home()
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.~-])", lambda _: instead, text) if home else text


def _home() -> str | None:
    """The user's home folder; None if there is none, or it is the root."""
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry in the system's list, as in some containers
        return None
    return str(home) if len(home.parts) > 1 else None


def folder_name(folder: Path) -> str:
    """Name a folder in text: as given, an absolute one relative to the working folder, or its last part.

    Not for commands: those need a path that works, see `shown`.
    """
    if not folder.is_absolute():
        return folder.as_posix()
    try:
        return folder.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return folder.name


def shown(path: Path) -> Path:
    """Return the path relative to the working directory if it is below it."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):  # the working directory may have been removed
        return path


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise RlnasError for an override that hydra cannot read, or reads as a path that differs from the typed one.

    The message has the argument and its correct spelling.
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
    """Return the overrides among the arguments of hydra's command line, without flags and their values."""
    if any(argument in ("-sc", "--shell-completion") for argument in arguments):
        return []
    before = ["", *arguments]
    return [
        argument
        for previous, argument in zip(before, arguments, strict=False)
        if not argument.startswith("-") and previous not in _TAKES_A_WORD
    ]


def value_of(argument: str) -> str | None:
    """Return the text that hydra reads in `key=value`; None for null or no value. Raises as `check_arguments`."""
    check_arguments([argument])
    parsed = _parse(argument)
    assert isinstance(parsed, Override)
    value = parsed.value()
    if value is None or value == "":
        return None
    if not isinstance(value, str):  # a folder named 2026
        return argument.partition("=")[2]
    try:
        return interpolated(value)
    except RlnasError as error:
        raise RlnasError(f"{argument}: {error}") from None


def _is_path(value: Any, text: str) -> bool:
    """Return whether hydra's value is the typed text, not a list or a converted number as for 2026_01."""
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
    """Return the text as a double-quoted value of hydra, with interpolations escaped."""
    text = re.sub(r'(\\*)"', r'\1\1\\"', not_interpolated(text))  # hydra escapes quotes in the same way
    text = re.sub(r"(\\+)\Z", r"\1\1", text)  # not before a last line break
    return f'"{text}"'
