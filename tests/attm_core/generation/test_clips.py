import json

import pytest
import soundfile
import torch
from toy_cast import N_SAMPLES, RATE_HZ, BrokenCodec, ToyClap, ToyStudio

from attm_core.errors import InputError
from attm_core.generation.clips import (
    MAX_SEED,
    Clip,
    Listener,
    Request,
    check_folder,
    make_clips,
    write_clips,
)
from attm_core.generation.loudness import LoudnessReport
from attm_core.generation.sampler import GenerationConfig

CONFIG = GenerationConfig(s=5.0, w=4.0, n_steps=3, batch_size=2)


def request(*prompts: str, **changes) -> Request:
    fields = {"config": CONFIG, "seed": 42, "prefix": "good music, "} | changes
    return Request(tuple(prompts), **fields)


def test_each_prompt_becomes_one_finished_and_judged_clip():
    studio = ToyStudio()
    clips = make_clips(request("calm", "fast", "odd"), studio.cast())
    assert [clip.prompt for clip in clips] == ["calm", "fast", "odd"]
    assert [clip.seed for clip in clips] == [42, 43, 44]
    assert studio.texts == [["good music, calm", "good music, fast", "good music, odd"]]
    assert studio.ears.prompts == ["calm", "fast", "odd"]  # judged without the prefix
    assert [clip.heard.reward for clip in clips] == [1.0, 2.0, 3.0]
    assert [clip.heard.clap for clip in clips] == pytest.approx([0.5] * 3)
    assert all(clip.wave.shape == (N_SAMPLES,) for clip in clips)
    assert all(clip.loudness.after_lufs == pytest.approx(-16.5, abs=0.1) for clip in clips)


def test_a_clip_does_not_depend_on_the_prompts_beside_it():
    alone = make_clips(request("fast", seed=43), ToyStudio().cast())[0]
    beside = make_clips(request("calm", "fast", "odd"), ToyStudio().cast())[1]
    assert torch.allclose(alone.wave, beside.wave, atol=1e-5)
    other = make_clips(request("fast", seed=44), ToyStudio().cast())[0]
    assert not torch.allclose(alone.wave, other.wave, atol=1e-2)


def test_without_post_processing_the_codec_has_the_last_word():
    studio = ToyStudio()
    clip = make_clips(request("calm", post=False), studio.cast())[0]
    assert clip.loudness is None
    assert studio.separator.calls == 0
    assert float(clip.wave.abs().max()) == pytest.approx(0.1, abs=1e-3)


def test_a_negative_prompt_replaces_the_null_text():
    studio = ToyStudio()
    plain = make_clips(request("calm", post=False), studio.cast())[0]
    pushed = make_clips(request("calm", post=False, negative="x" * 300), studio.cast())[0]
    assert studio.texts[-1] == ["x" * 300]
    assert not torch.allclose(plain.wave, pushed.wave, atol=1e-2)


def test_a_broken_model_is_an_error_not_a_file():
    with pytest.raises(InputError, match="NaN or infinite samples"):
        make_clips(request("calm"), ToyStudio(BrokenCodec()).cast())


@pytest.mark.parametrize(
    ("prompts", "changes", "said"),
    [
        ((), {}, "at least one prompt"),
        (("calm", "  "), {}, "is empty"),
        (("x" * 2001,), {}, "2001 characters"),
        (("calm",), {"negative": " "}, "is empty"),
        (("calm",), {"seed": -1}, "seed -1"),
        (("calm",), {"seed": MAX_SEED}, "is not in 0"),
        (("calm",), {"config": GenerationConfig(s=float("nan"))}, "must be finite"),
        (("calm",), {"config": GenerationConfig(w=float("inf"))}, "must be finite"),
    ],
)
def test_an_unusable_request_is_refused(prompts, changes, said):
    with pytest.raises(InputError, match=said):
        request(*prompts, **changes)


def test_without_a_prompt_there_is_a_reward_but_no_clap_score():
    listener = Listener(ToyClap(), lambda waves, rate, prompts: [0.25] * len(waves))
    with_prompt, without = listener.listen(torch.zeros(2, 10), RATE_HZ, ["calm", ""])
    assert with_prompt.clap == pytest.approx(0.5)
    assert (without.reward, without.clap) == (0.25, None)


def test_files_carry_their_record(tmp_path):
    clips = make_clips(request("Calm, slow piano!", "fast"), ToyStudio().cast())
    paths = write_clips(tmp_path / "new" / "folder", clips, RATE_HZ, {"s": 5.0})
    assert paths[0].name.startswith("calm-slow-piano-")
    for path, clip in zip(paths, clips, strict=True):
        data, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE_HZ
        assert torch.allclose(torch.from_numpy(data), clip.wave, atol=1e-4)
        record = json.loads(path.with_suffix(".json").read_text())
        assert record["file"] == path.name
        assert (record["prompt"], record["seed"], record["s"]) == (clip.prompt, clip.seed, 5.0)
        assert record["reward"] == clip.heard.reward
        assert record["loudness"]["outcome"] == "normalized"
    assert len(list(paths[0].parent.iterdir())) == 4


def test_names_tell_requests_apart(tmp_path):
    clip = Clip("calm", 42, torch.zeros(100))
    names = {write_clips(tmp_path, [clip], RATE_HZ, {"s": s})[0].name for s in (1.0, 2.0, 1.0)} | {
        write_clips(tmp_path, [Clip("calm", 43, clip.wave)], RATE_HZ, {"s": 1.0})[0].name
    }
    assert len(names) == 3


def test_a_prompt_in_another_script_still_gets_a_name(tmp_path):
    clip = Clip("静かなピアノ", 42, torch.zeros(100))
    path = write_clips(tmp_path, [clip], RATE_HZ, {})[0]
    assert path.name.startswith("clip-")
    assert json.loads(path.with_suffix(".json").read_text())["prompt"] == "静かなピアノ"


def test_the_level_of_silence_is_null_in_a_record():
    infinite = float("-inf")
    report = LoudnessReport("silent", 0.0, infinite, infinite, infinite, infinite)
    facts = Clip("calm", 42, torch.zeros(100), report).facts()
    assert facts["loudness"]["before_lufs"] is None
    assert facts["loudness"]["gain_db"] == 0.0
    json.dumps(facts, allow_nan=False)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "taken").write_text("")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(InputError, match="is a file"):
            check_folder(place)
    assert check_folder(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
