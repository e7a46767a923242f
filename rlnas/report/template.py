"""The pages' templates: jinja2, autoescaped, one style sheet for light and dark."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rlnas.report.style import FONT, THEME


def render(template: str, /, **values: Any) -> str:
    """The page of a template in rlnas/report/templates; text is escaped unless it is Markup."""
    return _environment().get_template(f"{template}.html.jinja").render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rlnas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["light"] = {name: colour for colour, (name, _) in THEME.items()}
    environment.globals["dark"] = dict(THEME.values())
    environment.globals["font"] = FONT
    return environment
