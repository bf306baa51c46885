import shutil
from functools import partial

import numpy as np
import paper_world
import pytest
import torch
from published_files import write_audio_language_model

from attm_companion.study import paper_frozen
from attm_companion.study.paper_frozen import MdxExtraStage
from attm_companion.study.stage import ancestry, run_stage
from attm_companion.study.study import Study
from attm_core import assets
from attm_core.data import song_describer
from attm_core.data.song_describer import reference_tracks
from attm_core.errors import AssetError
from attm_core.files import read_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    paper_world.write_assets(folder)
    return folder


@pytest.fixture
def study(published, monkeypatch):
    """A study of tiny files that stand where the published ones would."""
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(published))
    monkeypatch.setattr(paper_frozen, "verify", lambda asset: {asset.name: "unverified"})
    monkeypatch.setattr(MdxExtraStage, "model", lambda stage: paper_world.tiny_separator())
    any_number = partial(reference_tracks, n_expected=None)
    monkeypatch.setattr(song_describer, "reference_tracks", any_number)
    return Study(paper_world.tiny_profile())


def run(*stages):
    for stage in ancestry(list(stages)):
        run_stage(stage)


def test_the_chain_runs_from_published_files_to_scores(study):
    deployed = study.condition(study.crpo(), study.evaluation, s=5.0)
    run(deployed, study.anchors())
    scores = deployed.scores()
    assert len(scores) == paper_world.N_PROMPTS
    assert np.isfinite(scores.clap).all()
    assert np.isfinite(scores.reward).all()
    assert np.ptp(scores.reward) > 0
    assert study.reference(study.evaluation).shape == (paper_world.N_REFERENCE, 512)
    assert deployed.audio().shape == (1, study.profile.cast.n_samples)


def test_the_corpus_deals_tracks_and_knows_every_text(study):
    corpus = study.frozen.corpus
    run(corpus)
    splits = [len(corpus.rows(split)) for split in ("train", "valid", "test", "prompts")]
    assert splits == [2 * (paper_world.N_TRACKS - 3), 4, 2, paper_world.N_PROMPTS]
    assert corpus.captions("prompts") == paper_world.WORDS[: paper_world.N_PROMPTS]
    table = corpus.table
    assert corpus.captions("train")[0] == table["caption"][corpus.rows("train")[0]]
    first = table.iloc[corpus.rows("valid")[:2]]
    assert first["track_id"].nunique() == 2
    n_samples = study.profile.cast.n_samples
    assert corpus.waves("valid").shape == (2, 1, n_samples)
    assert corpus.waves("prompts").shape == (paper_world.N_PROMPTS, 1, n_samples)
    assert torch.equal(corpus.waves("prompts"), corpus.waves("reference")[: paper_world.N_PROMPTS])


def test_training_reads_the_shards(study):
    run(study.features)
    train = study.features.latents("train", "reward_score")
    assert len(train) == 2 * (paper_world.N_TRACKS - 3)
    assert train.latent_shape == (study.frozen.codec.model().n_latents, 3)
    assert study.features.shapes()["n_tokens"] == 77
    other = study.features.latents("train", "instrumental_reward_score")
    assert not torch.equal(train.score, other.score)
    assert len(list((study.features.folder / "shards" / "clips").glob("*.safetensors"))) == 4


def test_votes_and_a_judge_that_are_here_are_used(study, published, tmp_path, monkeypatch):
    plain = study.evaluator
    assert plain.ranker.kind == "tunejury" and plain.frozen.oracle is None
    shutil.copytree(published, tmp_path / "more")
    paper_world.write_votes(tmp_path / "more")
    (tmp_path / "more" / "concept_judge").mkdir()
    write_audio_language_model(tmp_path / "more" / "concept_judge", paper_world.WORDS[:1])
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(tmp_path / "more"))
    voted = Study(paper_world.tiny_profile())
    assert voted.features.ranker.uid == voted.ranker.uid
    assert voted.features.frozen.oracle is None
    evaluator = voted.evaluator
    run(evaluator.ranker, evaluator.frozen.oracle)
    waves = torch.stack([paper_world.wave(text, 1.0)[None] for text in paper_world.WORDS[:2]])
    scores = evaluator.score(waves, [f"{text}, calm" for text in paper_world.WORDS[:2]])
    assert np.ptp(scores.reward) > 0
    assert set(scores.ccs) <= {0.0, 0.5, 1.0}
    report = read_json(voted.ranker.artefact("quality.json"))
    assert report["n_votes"] == 12
    assert 0 <= report["accuracy_overall"] <= 1


def test_a_file_that_is_not_the_published_one_stops_its_stage(published, monkeypatch):
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(published))
    stage = Study(paper_world.tiny_profile()).frozen.codec
    with pytest.raises(AssetError, match=r"run `attm assets fetch vae`\n.*v1-44.pth is wrong"):
        run_stage(stage)
    assert not stage.done
