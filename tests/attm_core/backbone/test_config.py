import torch

from attm_core.backbone.config import Conditions, FluxAudioConfig


def test_hidden_width_rounds_up_as_in_the_reference():
    assert FluxAudioConfig().ffn_hidden == 1280  # ⅔ · 1792 = 1194
    assert FluxAudioConfig(width=64, n_heads=2, ffn_multiple=32).ffn_hidden == 192  # ⅔ · 256 = 170
    assert FluxAudioConfig(width=96, n_heads=3).ffn_hidden == 256  # exactly


def test_conditions_select_repeat_and_join():
    rows = Conditions(torch.arange(6.0).view(3, 1, 2), torch.arange(3.0)[:, None])
    assert len(rows) == 3
    assert rows[[2, 0]].pooled.flatten().tolist() == [2, 0]
    assert rows[1:].repeat(2).pooled.flatten().tolist() == [1, 2, 1, 2]
    assert torch.equal(Conditions.cat([rows[:1], rows[1:]]).tokens, rows.tokens)
    assert rows.to(torch.float64).pooled.dtype == torch.float64
