import pytest

from attm_companion.strict_yaml import read_yaml
from attm_core.errors import ConfigError


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x:\n  y:\n    a: 1\n    a: 1\n"])
def test_duplicate_keys_are_errors(tmp_path, text):
    path = tmp_path / "x.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x.yml, line \d: 'a' is given twice"):
        read_yaml(path)


def test_missing_and_malformed_files_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_yaml(tmp_path / "no.yml")
    (tmp_path / "x.yml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "x.yml")
