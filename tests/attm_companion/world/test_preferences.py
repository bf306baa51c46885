import numpy as np
import pandas as pd
import pytest
import torch

from attm_companion.world.listeners import ListenerConfig, PreferenceConfig
from attm_companion.world.preferences import bayes_ceiling, simulate_votes, tag_fit
from attm_companion.world.vote_features import gather_pairs
from attm_core.errors import ConfigError, InputError


def make_table(n: int = 400) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    words = [["slow", "fast"], ["calm", "bright", "dark"], ["strings", "brass", "piano"]]
    tags = [", ".join(str(generator.choice(group)) for group in words) for _ in range(n)]
    sings = generator.random(n) < 0.4
    return pd.DataFrame(
        {
            "piece_id": [f"piece{k % 80}" for k in range(n)],
            "split": np.where(np.arange(n) % 10 == 9, "prompts", "train"),
            "tags": tags,
            "caption": [f"music that is {words}" for words in tags],
            "quality": generator.beta(2, 1.3, n),
            "has_voice": sings,
            "voice_level": np.where(sings, generator.uniform(-7, 3, n), np.nan),
        }
    )


TABLE = make_table()
FIT = tag_fit(TABLE["tags"])


@pytest.fixture(scope="module")
def votes() -> pd.DataFrame:
    return simulate_votes(TABLE, FIT, PreferenceConfig(n_pairs=800, n_replicates=100), seed=1)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    """Enough votes to see probabilities in frequencies."""
    return simulate_votes(TABLE, FIT, PreferenceConfig(n_pairs=12_000, n_replicates=100), seed=2)


def test_four_sources_in_three_splits(votes):
    counts = votes.groupby(["source", "split"]).size().unstack()[["train", "valid", "test"]]
    wanted = {"AIME": [458, 57, 57], "MusicArena": [21, 2, 3], "MusicPrefs": [74, 9, 9]}
    assert counts.T.to_dict("list") == wanted | {"SongEval": [91, 9, 9]}
    assert votes["pair_id"].is_unique
    heard = TABLE["split"].to_numpy()[votes[["row_a", "row_b"]].to_numpy()]
    assert set(heard.ravel()) == {"train"}
    assert not ((votes["row_a"] == votes["row_b"]) & (votes["kind_a"] == votes["kind_b"])).any()


def test_each_source_is_shaped_like_the_real_one(votes):
    source = dict(list(votes.groupby("source")))
    assert "tie" not in set(source["MusicArena"]["winner"])
    quality = TABLE["quality"].to_numpy()
    arena = source["MusicArena"]
    assert (quality[arena["row_a"]] != quality[arena["row_b"]]).all()
    assert set(source["MusicPrefs"]["kind_a"]) == {"instrumental"}
    assert not source["MusicPrefs"]["prompt_shown"].any()
    assert source["MusicPrefs"]["prompt"].str.startswith("music that is").all()
    assert (source["AIME"]["prompt"].str.count(", ") == 2).all()
    assert (source["AIME"]["row_a"] == source["AIME"]["prompt_row"]).mean() > 0.02  # real tracks
    assert set(source["SongEval"]["prompt"]) == {""}
    assert set(source["SongEval"]["kind_b"]) == {"mix"}
    assert (source["SongEval"]["prompt_row"] == -1).all()


def test_songeval_splits_share_no_piece(many):
    songs = many[many["source"] == "SongEval"].melt("split", ["row_a", "row_b"])
    pieces = TABLE["piece_id"].to_numpy()[songs["value"]]
    assert songs["split"].groupby(pieces).nunique().max() == 1


def test_p_bayes_is_the_frequency_of_wins_and_no_rule_beats_the_ceiling(many):
    decided = many[many["winner"] != "tie"]
    won = (decided["winner"] == "model_a").astype(float)
    for low in np.arange(0, 1, 0.2):
        inside = decided["p_bayes"].between(low, low + 0.2)
        error = won[inside].mean() - decided["p_bayes"][inside].mean()
        assert abs(error) < 4 * 0.5 / np.sqrt(inside.sum())
    ceiling = bayes_ceiling(many)
    assert 0.78 <= ceiling <= 0.85
    assert ((decided["p_bayes"] > 0.5) == won).mean() == pytest.approx(ceiling, abs=0.015)
    quality = TABLE["quality"].to_numpy()
    by_quality = quality[decided["row_a"]] > quality[decided["row_b"]]
    assert 0.65 < (by_quality == won).mean() < ceiling


def voiced_side_wins(votes: pd.DataFrame) -> float:
    """How often, of one side with a heard voice and one without, the former wins."""
    sings = TABLE["has_voice"].to_numpy()
    a, b = (
        sings[votes[f"row_{side}"]] & (votes[f"kind_{side}"] == "mix").to_numpy() for side in "ab"
    )
    one = (a != b) & (votes["winner"] != "tie").to_numpy()
    return float((a == (votes["winner"] == "model_a").to_numpy())[one].mean())


def test_voices_are_liked_moderately_and_only_by_configuration(many):
    assert 0.53 < voiced_side_wins(many) < 0.68
    indifferent = ListenerConfig(voice_weight=0.0)
    config = PreferenceConfig(n_pairs=12_000, n_replicates=10, listeners=indifferent)
    assert abs(voiced_side_wins(simulate_votes(TABLE, FIT, config, 2)) - 0.5) < 0.035


def test_ceiling_by_hand():
    votes = pd.DataFrame(
        {"winner": ["model_a", "tie", "model_a", "model_b"], "p_bayes": [0.9, 0.99, 0.2, 0.5]}
    )
    assert bayes_ceiling(votes) == pytest.approx((0.9 + 0.8 + 0.5) / 3)
    with pytest.raises(InputError, match="not a tie"):
        bayes_ceiling(votes[votes["winner"] == "tie"])


def test_tag_fit_by_hand_and_too_few_clips_or_pairs_are_refused():
    fit = tag_fit(["slow, calm", "calm", "fast", ""])
    assert fit[[0, 1, 3]].tolist() == [[1.0, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0] * 4]
    with pytest.raises(InputError, match="0 clips in the splits"):
        simulate_votes(TABLE, FIT, PreferenceConfig(clip_splits=("absent",)), 0)
    with pytest.raises(ConfigError, match="100 or more"):
        PreferenceConfig(n_pairs=10)


@pytest.mark.parametrize("seed", range(4))
def test_a_tiny_corpus_has_fewer_song_pairs_but_works(seed):
    tiny = make_table(40).assign(piece_id=[f"piece{k % 20}" for k in range(40)])
    config = PreferenceConfig(n_pairs=300, min_songs=60, n_replicates=5)
    votes = simulate_votes(tiny, tag_fit(tiny["tags"]), config, seed)
    counts = votes["source"].value_counts()
    assert counts["AIME"] == 172 + 21 + 21
    assert 34 <= counts["SongEval"] <= 34 + 3 + 3


VOTES = pd.DataFrame(
    {
        "row_a": [0, 2, 1],
        "kind_a": ["mix", "instrumental", "mix"],
        "row_b": [1, 2, 0],
        "kind_b": ["mix", "mix", "instrumental"],
        "prompt": ["calm", "", "calm"],
        "winner": ["model_a", "tie", "model_b"],
    }
)
CLAP = {
    "mix": torch.tensor([[0.0], [1.0], [2.0]]),
    "instrumental": torch.tensor([[10.0], [11.0], [12.0]]),
}
MERT = {kind: torch.cat([table, -table], dim=1) for kind, table in CLAP.items()}


def test_each_side_gets_the_features_of_its_row_and_kind():
    pairs = gather_pairs(VOTES, CLAP, MERT, {"calm": torch.tensor([7.0])})
    assert pairs.a.clap_audio[:, 0].tolist() == [0.0, 12.0, 1.0]
    assert pairs.b.clap_audio[:, 0].tolist() == [1.0, 2.0, 10.0]
    assert pairs.b.mert.tolist() == [[1.0, -1.0], [2.0, -2.0], [10.0, -10.0]]
    assert pairs.a.clap_text[:, 0].tolist() == [7.0, 0.0, 7.0]
    assert torch.equal(pairs.a.clap_text, pairs.b.clap_text)
    assert pairs.target.tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(InputError, match="BOTH_BAD"):
        gather_pairs(VOTES.assign(winner="BOTH_BAD"), CLAP, MERT, {"calm": torch.zeros(1)})
    with pytest.raises(InputError, match="1 prompts have no embedding, the first 'calm'"):
        gather_pairs(VOTES, CLAP, MERT, {})
