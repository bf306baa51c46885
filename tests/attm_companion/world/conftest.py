import numpy as np
import pytest

from attm_companion.world.build import build_corpus
from attm_companion.world.config import CorpusConfig
from attm_companion.world.sheet_music import make_piece


@pytest.fixture(scope="session")
def tiny_config():
    return CorpusConfig(
        n_pieces=20, n_train=6, n_valid=2, n_test=2, n_reference=3, n_prompts=2, voice_share=0.5
    )


@pytest.fixture(scope="session")
def tiny_corpus(tiny_config, tmp_path_factory):
    """A corpus of 15 clips built by one worker."""
    folder = tmp_path_factory.mktemp("corpus")
    build_corpus(tiny_config, folder, workers=1)
    return folder


@pytest.fixture
def scale():
    """Four octave-wide scales of C major in quarter notes, in two parts a tenth apart."""
    steps = np.array([0, 2, 4, 5, 7, 9, 11, 12] * 4, dtype=float)
    starts = np.arange(32.0)
    top = np.stack([starts, np.ones(32), 72 + steps], axis=1)
    low = np.stack([starts, np.ones(32), 48 + steps], axis=1)
    return make_piece("chorale", "bach/scale.mxl", (top, low))
