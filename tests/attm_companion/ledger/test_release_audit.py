import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from attm_companion.ledger.release import audit as audits
from attm_companion.ledger.release import scores as release_scores
from attm_companion.ledger.release.clips import measure_all, table_of
from attm_companion.ledger.release.files import Release, find_release
from attm_companion.ledger.release.prompts import audit_prompts, describe_prompts, words_of
from attm_companion.ledger.release.ranker import chance_ece, source_of, wilson_interval
from attm_companion.paper_numbers import load_paper
from attm_core.audio import save_audio
from attm_core.errors import AssetError, InputError
from attm_core.files import write_json
from attm_core.randomness import numpy_generator
from attm_core.ranker.calibration import ReliabilityBin

ROOT = Path(__file__).resolve().parents[3]
RATE = 16000


def test_scores_are_described_and_paired():
    draw = numpy_generator(3, "scores")
    base = draw.normal(size=30)
    subs = {name: base + 1 + 0.1 * draw.normal(size=30) for name in ("sub1", "sub2")}
    table = pd.DataFrame({"baseline": base, **subs})
    found = release_scores.describe_scores(table)
    assert found["systems"]["sub1"]["mean"] == pytest.approx(table.sub1.mean())
    assert found["systems"]["sub1"]["se"] == pytest.approx(table.sub1.std() / 30**0.5)
    gain = found["pairs"]["baseline_sub1"]
    assert gain["p_one_sided"] == pytest.approx(gain["p_two_sided"] / 2)
    assert gain["r"] > 0.95
    assert found["pairs"]["sub1_sub2"]["p_two_sided"] > 0.05
    assert all(sum(counts) == 30 for counts in release_scores.histograms(table)["counts"].values())
    thirds = release_scores.by_length(table, {i: "word " * (i + 1) for i in range(30)})
    assert [third["words"] for third in thirds.values()] == [[1, 10], [11, 20], [21, 30]]
    assert sum(third["pairs"]["sub1_sub2"]["n"] for third in thirds.values()) == 30


def test_prompts_from_tags_are_told_from_free_text_and_files_compared(tiny: Release):
    made = [
        "A melancholic rap piece driven by a steady drummachine beat.",
        "A dark thrashmetal track featuring vibraphone, evoking a film.",
    ]
    free = ["Someone strums slowly while rain falls on tin roofs", "Weird but I like the singer"]
    found, other = describe_prompts(made), describe_prompts(free)
    assert (found["opening_formula"], found["link_formula"], found["joined_tags"]) == (2, 2, 2)
    assert (other["opening_formula"], other["link_formula"], other["joined_tags"]) == (0, 0, 0)
    assert words_of("Lo-fi, it's 90s!") == ["lo-fi", "it's", "90s"]
    texts = [{"id": 0, "prompt_id": 0, "prompt": "a"}, {"id": 1, "prompt_id": 1, "prompt": "b"}]
    write_json(tiny.folder / "ttm-humanpref" / "prompts.json", texts)
    write_json(tiny.folder / "tunejury" / "sdd100.json", [texts[0], {**texts[1], "prompt": "c"}])
    assert audit_prompts(tiny)["same_as_ranker_file"] == 1


def test_ranker_arithmetic():
    sources = [source_of(name) for name in ("aime_1", "prefs_2", "songeval_3", "04bb-9")]
    assert sources == ["aime", "musicprefs", "songeval", "music_arena"]
    low, high = wilson_interval(0.7, 2000)
    assert (round(low, 3), round(high, 3)) == (0.680, 0.720)
    one = ReliabilityBin(0, 0, 1, 400, 0.5, 0.5, 0.5)
    # E|X| of a normal gap with sd 0.5/√400 is 0.025·√(2/π).
    assert chance_ece([one, one]) == pytest.approx(0.025 * (2 / np.pi) ** 0.5)


def test_score_tables_place_thresholds_and_read_track_numbers():
    found = release_scores.describe_tracks(pd.Series([0.0, 1.0, 2.0, 3.0]), {"two": 2.0})
    assert found["share_at_or_above"]["two"] == 0.5
    assert sum(found["histogram"]["counts"]) == 4
    table = pd.DataFrame({"id": ["sdd_5089.2min", "sdd_12.2min"], "path": ["00/7.mp3", "99/8.mp3"]})
    assert release_scores.track_numbers(table, "id").tolist() == [5089, 12]
    assert release_scores.track_numbers(table, "path").tolist() == [7, 8]


@pytest.fixture
def tiny(tmp_path: Path) -> Release:
    """A folder with clips of two prompts a system, and nothing else."""
    for number, system in enumerate(("baseline", "sub1", "sub2")):
        for prompt in (3, 11):
            draw = numpy_generator(number, prompt)
            wave = torch.from_numpy(0.05 * draw.standard_normal((1, 3 * RATE))).float()
            path = tmp_path / "ttm-humanpref" / "audio" / system / f"{prompt}.wav"
            save_audio(path, wave, RATE, "PCM_16")
    (tmp_path / "ttm-humanpref" / "audio" / "sub1" / "notes.txt").write_text("not a clip")
    return Release(tmp_path)


def test_any_subset_of_clips_is_measured_and_named(tiny: Release):
    measured = measure_all(tiny.clips())
    table = table_of(measured)
    assert table.system.tolist() == ["baseline", "baseline", "sub1", "sub1", "sub2", "sub2"]
    # White noise of deviation 0.05: −26 dBFS, a little louder after K-weighting.
    assert table.loudness_lufs.between(-27, -21).all()
    assert (table.true_peak_dbtp >= table.sample_peak_db - 1e-6).all()
    found = audits.audit_clips(measured, load_paper())
    assert found["systems"]["sub1"]["ids"] == [3, 11]
    assert found["systems"]["sub1"]["on_target"] == 0
    assert found["noise"]["between"]["sub1_sub2"]["n"] == 2
    assert found["noise"]["between"]["sub1_sub2"]["best_lag_pairs"] == 0
    assert audits.audit_clips([], load_paper()) == {"n": 0, "systems": {}}


def test_missing_parts_are_named(tiny: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(AssetError, match=r"prompts\.json is missing"):
        tiny.prompts()
    with pytest.raises(AssetError, match="attm assets fetch released"):
        Release(tmp_path / "nowhere")
    monkeypatch.setenv("ATTM_RELEASED_DIR", str(tiny.folder))
    assert find_release() == tiny
    monkeypatch.delenv("ATTM_RELEASED_DIR")
    assert find_release() is None
    (tiny.folder / "ttm-humanpref" / "clap_scores.json").write_text('{"0": {"baseline": 1}}')
    with pytest.raises(InputError, match="must give baseline, sub1, sub2"):
        tiny.scores("clap")


def test_committed_audit_stands_in_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("ATTM_RELEASED_DIR", raising=False)
    audit, measured = audits.open_audit(None, ROOT / audits.AUDIT_FILE)
    assert measured == []
    assert not audit.measured_now
    assert audit["provenance.clips_seen"] == 300
    partial = audits.Audit(audit.figures | {"clips": {"n": 0, "systems": {}}}, measured_now=True)
    mended = audits.with_committed_clips(partial, audit)
    assert not mended.measured_now
    assert mended["clips.n"] == 300
    path = write_json(tmp_path / "audit.json", audit.figures)
    assert audits.load_audit(path).figures == audit.figures
    text = path.read_text(encoding="utf-8")  # no text and no table by prompt
    assert (len(text) < 60_000, max(map(len, text.split('"'))) < 2_000) == (True, True)


@pytest.mark.released
@pytest.mark.slow
def test_audit_of_the_30_clips_takes_less_than_three_minutes(released_dir: Path):
    start = time.monotonic()
    release = Release(released_dir)
    audit = audits.compute_audit(release, measure_all(release.clips()))
    assert time.monotonic() - start < 180
    assert audit.measured_now
    assert audit["clips.n"] >= 30
    committed = audits.load_audit(ROOT / audits.AUDIT_FILE)
    for part in ("scores", "prompts", "ranker", "splits", "fresh_votes", "tracks"):
        assert audit[part] == committed[part], part
