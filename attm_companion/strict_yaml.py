"""YAML in which a key given twice is an error."""

from pathlib import Path
from typing import Any

import yaml

from attm_core.errors import ConfigError

MAX_CHARACTERS = 1_000_000
# What PyYAML's constructors raise: KeyError for `!!bool abc`, AttributeError for dates, …
ODD_ERRORS = (ValueError, TypeError, LookupError, AttributeError)


class StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys and aliases; PyYAML takes the last of two keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A few lines of aliases can stand for more data than any memory holds."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed here")
        return super().compose_node(parent, index)


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
    """Read a YAML file; raises ``ConfigError`` if it is missing, or as `parse_yaml`."""
    try:
        return parse_yaml(Path(path).read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error


def parse_yaml(text: str, name: str) -> Any:
    """Read YAML from a text that came from ``name``.

    Raises:
        ConfigError: malformed, nested beyond all reason, or a key is given twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"{name} has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        loader = StrictLoader(text)
        loader.name = name
        return loader.get_single_data()
    except ConfigError:
        raise
    except (yaml.YAMLError, RecursionError, *ODD_ERRORS) as error:
        raise ConfigError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
