"""Votes to tensors: each side finds its own features, empty prompts are zeros."""

import pandas as pd
import pytest
import torch

from attm_companion.world.vote_features import gather_pairs
from attm_core.errors import InputError

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
