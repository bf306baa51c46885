import pytest
from publishing_samples import code_cell, make_notebook

from attm_companion import notebook_parameters as parameters
from attm_core.errors import ConfigError

KNOWN = {"profile": "mini", "seed": 42, "rate": 0.5, "heads": [1, 2], "flag": True, "free": None}


def test_declared_reads_names_and_defaults():
    source = 'seed: int = 42\nscores = [0.0, 2.5]\nname = "a"  # comment\nnothing = None\nlow = -1'
    known = parameters.declared(make_notebook(parameters=source), "demo")
    assert known == {"seed": 42, "scores": [0.0, 2.5], "name": "a", "nothing": None, "low": -1}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "0 cells tagged 'parameters'; exactly one"),
        ("seed = f()", "'seed = f()' is not allowed"),
        ("import os", "'import os' is not allowed"),
        ("seed = 1\nseed = 2", "'seed' is declared twice"),
        ("# Parameters\nseed = 1", "begin the cell otherwise"),
    ],
)
def test_declared_refuses(source, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)")):
        parameters.declared(make_notebook(parameters=source), "demo")
    with pytest.raises(ConfigError, match="2 cells tagged"):
        twice = code_cell("other = 1", ["parameters"])
        parameters.declared(make_notebook(twice), "demo")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sede": 1}, "no parameter 'sede'; did you mean 'seed'"),
        ({"xyz": 1}, "it has: profile, seed"),
        ({"seed": 1.5}, "'seed' is a int .* not a float"),
        ({"seed": True}, "not a bool"),
        ({"flag": 1}, "'flag' is a bool"),
        ({"heads": ["a"]}, "'heads' is a list"),
        ({"heads": 1}, "'heads' is a list"),
    ],
)
def test_check_refuses(given, message):
    with pytest.raises(ConfigError, match=message):
        parameters.check(given, KNOWN, "demo")
    for fine in ({"seed": 1}, {"rate": 1}, {"heads": []}, {"flag": False}, {"free": "any"}, {}):
        parameters.check(fine, KNOWN, "demo")


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [("7", 42, 7), ("7", "mini", "7"), ("1e-4", 0.5, 1e-4), ("[1, 2]", [0], [1, 2]), ("x", 1, "x")],
)
def test_parse_value_follows_the_default(text, default, value):
    parsed = parameters.parse_value(text, default)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["", "seed = 1", "# Parameters\nsede = 7"], "no parameter 'sede'"),
        (["", "seed = 1", '# Parameters\nseed = "x"'], "not a str"),
        (["", "# Parameters\nseed = 7", "seed = 1"], "no cell tagged"),
    ],
)
def test_a_history_is_refused_that_injects_what_is_not_declared(inputs, message):
    with pytest.raises(ConfigError, match=message):
        parameters.check_history(inputs)
    parameters.check_injected()  # outside a notebook there is nothing to check
    parameters.check_history(["", "seed = 1", "check_injected()"])
    parameters.check_history(["", "import os", "seed = 1", "# Parameters\nseed = 7\n", "check"])


def test_reading_what_is_no_notebook(tmp_path):
    path = tmp_path / "x.ipynb"
    with pytest.raises(ConfigError, match="not a readable notebook"):
        parameters.read_notebook(path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="not a readable notebook"):
        parameters.read_notebook(path)
