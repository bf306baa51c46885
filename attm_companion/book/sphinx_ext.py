"""Sphinx extension of the book: the ``num`` role, and mathematics without the network.

In a page, ``{num}`cumulative:row4.fad|.3f` `` prints the value of that id with its provenance as a
tooltip. An unknown id is a warning, and the book is built with warnings as errors.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attm_companion.book.numbers import find_number
from attm_core.errors import AttmError

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def num_role(
    name: str,
    rawtext: str,
    text: str,
    line: int,
    inliner: Any,
    options: Any = None,
    content: Any = (),
) -> tuple[list[Any], list[Any]]:
    """Docutils role: the number with provenance, or a warning that fails the build."""
    from docutils import nodes
    from sphinx.util import logging

    settings = inliner.document.settings
    config, docname = settings.env.config, settings.env.docname
    try:
        number = find_number(Path(config.attm_results), text)
    except AttmError as error:
        logging.getLogger(__name__).warning("num: %s", error, location=(docname, line), type="num")
        return [nodes.problematic(rawtext, text)], []
    html = (
        f'<span class="attm-number" tabindex="0" title="{escape(number.origin, quote=True)}">'
        f"{escape(number.text)}</span>"
    )
    return [nodes.raw(rawtext, html, format="html")], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role; its configuration value is the folder of the profile's results."""
    app.add_config_value("attm_results", "results/mini", "env")
    app.add_role("num", num_role)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
