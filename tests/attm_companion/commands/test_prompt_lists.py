import json

import pytest

from attm_companion.commands.prompt_lists import MAX_PROMPTS, number_prompts, read_prompts
from attm_core.errors import InputError

PROMPTS = {"a1": "calm piano", "7": "fast, loud drums"}


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", json.dumps(PROMPTS)),
        ("p.json", json.dumps([{"id": "a1", "prompt": "calm piano"},
                               {"id": 7, "prompt": "fast, loud drums", "more": 1}])),
        ("p.csv", 'id,prompt\na1,calm piano\n7,"fast, loud drums"\n'),
        ("p.CSV", '\ufeffprompt,id\ncalm piano,a1\n"fast, loud drums",7\n'),
    ],
)  # fmt: skip
def test_all_forms_say_the_same(tmp_path, name, content):
    prompts = read_prompts(written(tmp_path, name, content))
    assert list(prompts.items()) == list(PROMPTS.items())


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.json", '["one", "two"]'), ("p.csv", "prompt\none\ntwo\n")],
)
def test_prompts_without_ids_are_numbered(tmp_path, name, content):
    prompts = read_prompts(written(tmp_path, name, content))
    assert prompts == {"000": "one", "001": "two"} == number_prompts(["one", "two"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.txt", "calm", "neither .json nor .csv"),
        ("p.json", "{", "not valid JSON"),
        ("p.json", "3", "no prompt list"),
        ("p.json", '["one", 2]', "no prompt list"),
        ("p.json", '{"a": 2}', "no prompt list"),
        ("p.json", "[]", "holds 0 prompts"),
        ("p.json", '[""]', "is empty"),
        ("p.json", '{"../up": "calm"}', "no usable prompt id"),
        ("p.json", '{"": "calm"}', "no usable prompt id"),
        ("p.json", '{"a..b": "calm"}', "no usable prompt id"),
        ("p.json", '{"a": "calm", "A": "fast"}', "differ in case"),
        ("p.json", '[{"id": "a"}]', "entry 1 has no text"),
        ("p.json", '[{"id": null, "prompt": "calm"}]', "entry 1 has no text"),
        ("p.json", json.dumps([{"id": "a", "prompt": "x"}] * 2), "'a' appears twice"),
        ("p.json", json.dumps(["x"] * (MAX_PROMPTS + 1)), "holds 10001 prompts"),
        ("p.csv", "id,text\na,calm\n", "entry 1 has no text"),
        ("p.csv", "id,prompt\na\n", "entry 1 has no text"),
        ("p.csv", b"prompt\n\xff\xfe\n", "cannot be read as CSV"),
        ("p.csv", "", "holds 0 prompts"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, said):
    with pytest.raises(InputError, match=said):
        read_prompts(written(tmp_path, name, content))


@pytest.mark.parametrize("name", ["gone.json", "gone.csv"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match=name):
        read_prompts(tmp_path / name)
