"""The three reward columns of Section III-D."""

import pandas as pd
import pytest

from attm_core.errors import InputError
from attm_core.ranker.columns import REWARD_COLUMNS, reward_columns

TABLE = pd.DataFrame({"piece_id": ["x", "y", "x"]}, index=[5, 6, 7])


def test_columns_by_hand():
    rewards = reward_columns(TABLE, [1.0, 4.0, 2.0], [0.5, 0.25, 0.0])
    assert tuple(rewards.columns) == REWARD_COLUMNS
    assert rewards.index.tolist() == [5, 6, 7]
    assert rewards["reward_score"].tolist() == [1.0, 4.0, 2.0]
    assert rewards["instrumental_reward_score"].tolist() == [0.5, 0.25, 0.0]
    assert rewards["track_reward_score"].tolist() == [1.5, 4.0, 1.5]


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, float("nan"), 2.0]])
def test_bad_scores_are_refused(wrong):
    with pytest.raises(InputError, match="mix scores must be 3 finite numbers"):
        reward_columns(TABLE, wrong, [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="instrumental scores must be 3 finite numbers"):
        reward_columns(TABLE, [0.0, 0.0, 0.0], wrong)


def test_a_table_without_tracks_is_refused():
    with pytest.raises(InputError, match="no column 'track'"):
        reward_columns(TABLE, [0.0] * 3, [0.0] * 3, track_column="track")
