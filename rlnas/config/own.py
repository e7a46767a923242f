"""Load classes and functions of the user, given by a dotted path in the configuration."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from rlnas.errors import RlnasError


def load_own(path: str, key: str) -> Callable[..., Any]:
    """Import the class or function at a dotted path such as `my_package.my_module.MyClass`.

    The working directory is searched too, as with `python -m`. key: configuration key, for the error message.
    Raises RlnasError if it cannot be imported or called.
    """
    module, _, name = path.rpartition(".")
    here = os.getcwd()
    known = here in sys.path or "" in sys.path
    try:
        if not known:
            sys.path.insert(0, here)
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError, SyntaxError) as error:
        raise RlnasError(
            f"{key}: {path} cannot be imported: {error}; expected the dotted path of a class in an installed package "
            "or in the working directory"
        ) from None
    finally:
        if not known:
            sys.path.remove(here)
    if not callable(found):
        raise RlnasError(
            f"{key} is '{path}', expected the dotted path of a class or function, such as package.module.Name"
        )
    return found  # type: ignore[no-any-return]


def make_own(path: str, key: str, options: dict[str, Any], **parts: Any) -> Any:
    """Construct a user's class with `options` and those `parts` that its constructor accepts.

    Raises RlnasError for options that the constructor does not accept.
    """
    import inspect

    made = load_own(path, key)
    signature = inspect.signature(made)
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
    given = {name: part for name, part in parts.items() if takes_all or name in signature.parameters}
    try:
        signature.bind(**given, **options)
    except TypeError as error:
        group = key.partition(".")[0]
        raise RlnasError(f"{key}={path} refused {group}.options={options}: {error}") from None
    return made(**given, **options)
