import json

import pytest

from attm_companion.commands.prompt_lists import number_prompts, read_prompts

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
    for name, content in (("p.json", '["one", "two"]'), ("p.csv", "prompt\none\ntwo\n")):
        prompts = read_prompts(written(tmp_path, name, content))
        assert prompts == {"000": "one", "001": "two"} == number_prompts(["one", "two"])
