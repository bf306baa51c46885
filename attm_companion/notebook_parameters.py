"""Parameters of a notebook: declared in one tagged cell, checked whoever starts papermill.

papermill only logs a parameter that the notebook does not declare and exits 0. ``attm notebooks``
checks before it starts; the first cell after the parameters calls `open_study`, or where there is
no study :func:`check_injected`, so that ``papermill … -p sede 7`` by hand fails too.
"""

import ast
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attm_core.errors import ConfigError

TAG = "parameters"
INJECTED_HEAD = "# Parameters"  # how papermill begins the cell it injects


def read_notebook(path: Path) -> Any:
    """Read a notebook (nbformat 4); raises ``ConfigError`` if it is missing or none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ConfigError(f"{path} is not a readable notebook: {error}") from error


def declared(notebook: Any, where: str) -> dict[str, Any]:
    """Names and defaults of the one cell tagged ``parameters``.

    Raises:
        ConfigError: no such cell, several, or something else than ``name = literal`` in it; or
            it begins with the words by which an injected cell is known.
    """
    cells = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ConfigError(f"{where} has {len(cells)} cells tagged '{TAG}'; exactly one is needed")
    if cells[0].source.startswith(INJECTED_HEAD):
        raise ConfigError(f"{where}: begin the cell otherwise than '{INJECTED_HEAD}' (papermill's)")
    return assignments(cells[0].source, where)


def assignments(source: str, where: str) -> dict[str, Any]:
    """``{name: value}`` of a cell of ``name = literal`` lines, each once; else ``ConfigError``."""
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        try:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    literal = ast.literal_eval(value)
                case _:
                    raise ValueError("another statement")
        except ValueError as error:
            said = f"{where}: '{ast.unparse(node)}' is not allowed; parameters are 'name = literal'"
            raise ConfigError(said) from error
        if name in found:
            raise ConfigError(f"{where}: parameter '{name}' is declared twice")
        found[name] = literal
    return found


def check(given: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Refuse unknown names and values of another type than the default.

    Raises:
        ConfigError: with the nearest declared name, or with both types.
    """
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(known) or 'none'}"
            if "set" in known:
                hint += "; numbers of the profile go into 'set', such as crpo.beta=200"
            raise ConfigError(f"{where} has no parameter '{name}'; {hint}")
        if not _fits(value, known[name]):
            raise ConfigError(
                f"{where}: parameter '{name}' is a {type(known[name]).__name__} "
                f"(default {known[name]!r}), not a {type(value).__name__} ({value!r})"
            )


def _fits(value: Any, default: Any) -> bool:
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        first = default[0] if default else None
        return isinstance(value, list | tuple) and all(_fits(item, first) for item in value)
    return isinstance(value, type(default))


def parse_value(text: str, default: Any) -> Any:
    """A command-line value: text stays text where the default is text, else a Python literal."""
    if isinstance(default, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_injected() -> None:
    """Inside a notebook, right after its parameters cell: check what papermill injected.

    The kernel's input history holds the declared cell and, next to it, the injected one.

    Raises:
        ConfigError: an injected name is not declared or its value has another type.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        check_history(list(shell.user_ns.get("In", [])))


def check_history(inputs: list[str]) -> None:
    """Hold the last injected cell of a history against the cell before it; else ``ConfigError``."""
    places = [i for i, source in enumerate(inputs) if source.startswith(INJECTED_HEAD)]
    if not places:
        return
    before = inputs[places[-1] - 1] if places[-1] else ""
    if not before.strip():
        raise ConfigError(f"the notebook has no cell tagged '{TAG}' before the injected one")
    where = "this notebook"
    check(assignments(inputs[places[-1]], where), assignments(before, where), where)
