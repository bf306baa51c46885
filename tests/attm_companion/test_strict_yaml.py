import pytest

from attm_companion.strict_yaml import read_yaml, toc_entries, toc_problems
from attm_core.errors import ConfigError

TOC = {
    "root": "index",
    "parts": [
        {"caption": "A", "chapters": [{"file": "a", "sections": [{"file": "b"}]}]},
        {"chapters": [{"file": "c"}]},
    ],
}


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


def test_contents_are_checked_both_ways():
    assert toc_entries(TOC) == ["index", "a", "b", "c"]
    assert toc_problems(TOC, ["c", "b", "a", "index"]) == []
    twice = {"root": "a", "chapters": [{"file": "a"}]}
    assert toc_problems(twice, ["a"]) == ["_toc.yml lists a twice"]
    assert toc_problems(TOC, ["index", "a", "b", "d"]) == [
        "_toc.yml lists c, which does not exist",
        "d is not in _toc.yml",
    ]
