"""YAML in which a key given twice is an error, and the table of contents checked both ways."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from attm_core.errors import ConfigError


class StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys; PyYAML and Jupyter Book take the last one."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(f"{key_node.start_mark.name}, line {line}: '{key}' is given twice")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        ConfigError: missing, malformed, or a key is given twice.
    """
    try:
        with Path(path).open(encoding="utf-8") as stream:
            return yaml.load(stream, Loader=StrictLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error


def toc_entries(toc: Any) -> list[str]:
    """All documents of a table of contents, in order, without suffix."""
    entries: list[str] = []
    if isinstance(toc, dict):
        entries += [str(toc[name]) for name in ("root", "file") if name in toc]
        for name in ("parts", "chapters", "sections"):
            for item in toc.get(name, []):
                entries += toc_entries(item)
    return entries


def toc_problems(toc: Any, documents: Iterable[str]) -> list[str]:
    """Entries without a document, documents without an entry, and entries given twice."""
    entries, known = toc_entries(toc), set(documents)
    return [
        *(f"_toc.yml lists {name}, which does not exist" for name in entries if name not in known),
        *(f"{name} is not in _toc.yml" for name in sorted(known - set(entries))),
        *(
            f"_toc.yml lists {name} twice"
            for name in sorted({e for e in entries if entries.count(e) > 1})
        ),
    ]
