"""The frame of report.html: no script, no external resource, light and dark, one column on a narrow screen."""

from rlnas.report.style import FONT, THEME

_LIGHT = " ".join(f"--{name}: {light};" for light, (name, _) in THEME.items())
_DARK = " ".join(f"--{name}: {dark};" for name, dark in THEME.values())

CSS = f"""
:root {{ color-scheme: light dark; {_LIGHT} --page: #f6f8fa; --warn: #fff1d6; --warn-line: #e69f00; }}
@media (prefers-color-scheme: dark) {{
  :root {{ {_DARK} --page: #0d1117; --warn: #3a2a06; --warn-line: #f0b429; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 1140px; padding: 24px 20px 64px; background: var(--page); color: var(--ink);
  font: 16px/1.5 {FONT}; }}
h1 {{ margin: 0 0 8px; font-size: 28px; line-height: 1.2; overflow-wrap: anywhere; }}
h2 {{ margin: 40px 0 12px; font-size: 21px; }}
h3 {{ margin: 20px 0 8px; font-size: 16px; }}
p {{ margin: 0 0 12px; max-width: 76ch; }}
a {{ color: var(--blue); }}
.card {{ background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px; }}
.note, figcaption, caption {{ color: var(--muted); font-size: 14px; }}
.banner {{ margin: 0 0 16px; padding: 14px 16px; max-width: none; background: var(--warn);
  border: 2px solid var(--warn-line); border-radius: 8px; font-size: 17px; }}
.tiles {{ display: grid; gap: 12px; margin: 20px 0; grid-template-columns: repeat(auto-fit, minmax(225px, 1fr)); }}
.tiles div {{ display: flex; flex-direction: column; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 12px 14px; }}
.tiles dt {{ color: var(--muted); font-size: 14px; line-height: 1.35; }}
.tiles dd {{ margin: 0; }}
.tiles .value {{ order: -1; font-size: 25px; font-weight: 600; line-height: 1.3; }}
.tiles .more {{ color: var(--muted); font-size: 14px; line-height: 1.35; overflow-wrap: anywhere; }}
.tiles .main {{ border: 2px solid var(--blue); }}
.found {{ display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }}
.found > * {{ flex: 1 1 440px; min-width: 0; margin: 0; }}
.scroll {{ overflow-x: auto; container-type: inline-size; }}
.figures {{ display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }}
figure {{ margin: 0; min-width: 0; }}
figcaption {{ margin-top: 8px; }}
svg.plot {{ display: block; width: 100%; height: auto; }}
svg.plot * {{ stroke-linejoin: round; }}
.drawing svg.plot {{ margin: 0 auto; font: 13px {FONT}; }}
.skip:hover {{ stroke: var(--red) !important; stroke-width: 3 !important; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: 8px; }}
th, td {{ padding: 6px 10px; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }}
thead th {{ border-top: 0; white-space: nowrap; }}
th {{ font-weight: 600; }}
caption span {{ display: block; position: sticky; left: 0; width: fit-content; max-width: 100cqw; }}
.whole {{ white-space: nowrap; }}
.number {{ text-align: right; white-space: nowrap; }}
.chosen {{ background: color-mix(in srgb, var(--blue) 14%, transparent); }}
.long {{ min-width: 300px; }}
code, pre {{ font-size: 13px;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
pre {{ margin: 0 0 12px; padding: 12px; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; line-height: 1.45; }}
pre.wrap {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
details {{ margin: 0 0 12px; }}
summary {{ cursor: pointer; font-weight: 600; padding: 6px 0; }}
@media (max-width: 520px) {{
  body {{ padding: 16px 10px 48px; }}
  .card {{ padding: 12px 8px; }}
  .tiles {{ grid-template-columns: 1fr 1fr; gap: 8px; }}
  .tiles .value {{ font-size: 21px; }}
  h1 {{ font-size: 23px; }}
}}
@media print {{ body {{ max-width: none; }} figure, .tiles div {{ break-inside: avoid; }} }}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """The whole document; both arguments are HTML already."""
    return PAGE.format(title=title, css=CSS, body=body)
