"""Sphinx extension of the book: the roles ``num`` and ``says``, in pages and in notebooks.

``{num}`cumulative: fad of row4 | .3f` `` prints that number; its origin shows on hover and on
keyboard focus. What is not there is a warning, and the book is built with warnings as errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attm_companion.book.numbers import find_number, find_phrase
from attm_core.errors import AttmError

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def num_role(
    name: str, rawtext: str, text: str, line: int, inliner: Any, **_: Any
) -> tuple[list[Any], list[Any]]:
    """Docutils role: a number with its origin, or a phrase; a warning that fails the build."""
    from docutils import nodes
    from sphinx.util import logging

    env = inliner.document.settings.env
    try:
        if name == "says":
            return [nodes.Text(find_phrase(Path(env.config.attm_results), text))], []
        number = find_number(Path(env.config.attm_results), text)
    except AttmError as error:
        place = (env.docname, line)
        logging.getLogger(__name__).warning("%s: %s", name, error, location=place, type="num")
        return [nodes.problematic(rawtext, text)], []
    html = number.html(f"num-{env.new_serialno('num')}", env.docname.count("/"))
    return [nodes.raw(rawtext, html, format="html")], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the roles; their configuration value is the folder of the profile's results."""
    app.add_config_value("attm_results", "results/mini", "env")
    app.add_role("num", num_role)
    app.add_role("says", num_role)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
