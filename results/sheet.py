"""A sheet: one HTML file made from a template, which loads nothing from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sims.core.errors import GridseamError

PAGE = Path(__file__).parent / "page"
"""Templates, styles and scripts."""


def write_sheet(what: str, template: str, out: Path, **content: Any) -> Path:
    """Fill a template, in which every text is escaped, and write it to `out`; return `out`. Errors say `what` it is.

    Raises
    ------
    GridseamError
        The file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = templates.get_template(template).render(content)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as err:
        raise GridseamError(f"cannot write the {what} {out}: {err}") from err
    return out
