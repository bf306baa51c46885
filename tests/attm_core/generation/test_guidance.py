import pytest
import torch
from toy_networks import ToyBackbone

from attm_core.backbone.config import Conditions
from attm_core.errors import ConfigError, InputError
from attm_core.generation.guidance import guide


def text(batch: int, value: float) -> Conditions:
    return Conditions(torch.full((batch, 1, 1), value), torch.full((batch, 3), value))


X = torch.zeros(2, 4, 1)
S = torch.full((2,), 5.0)


@pytest.mark.parametrize(
    ("negative", "w_score", "expected"),
    [
        (None, None, 0.5 - 1 + 4 * (2 + 1 + 5)),  # ∅ = −1, c = 2, s = 5, ∅_s = 0, t = 0.5
        (-3.0, None, 0.5 - 3 + 4 * (2 + 3 + 5)),
        (None, 4.0, 0.5 - 1 + 4 * (2 + 1 + 5)),  # equal scales: the joint guidance
        (None, 2.0, 0.5 - 1 + 4 * (2 + 1) + 2 * 5),
        (None, 0.0, 0.5 - 1 + 4 * (2 + 1)),
    ],
)
def test_branches_by_hand(negative: float | None, w_score: float | None, expected: float) -> None:
    other = None if negative is None else text(2, negative)
    guided = guide(ToyBackbone(), text(2, 2.0), S, 4.0, other, w_score)
    assert guided(X, 0.5)[0, 0, 0].item() == pytest.approx(expected)
    without_head = guide(ToyBackbone(), text(2, 2.0), None, 4.0)
    assert without_head(X, 0.0)[0, 0, 0].item() == pytest.approx(-1 + 4 * 3)


@pytest.mark.parametrize(("w", "batch"), [(4.0, 4), (1.0, 2), (0.0, 2)])
def test_runs_no_branch_without_weight(w: float, batch: int) -> None:
    model = ToyBackbone()
    guided = guide(model, text(2, 2.0), S, w)
    near = guide(ToyBackbone(), text(2, 2.0), S, w + 1e-7)(X, 0.5)
    torch.testing.assert_close(guided(X, 0.5), near, atol=1e-5, rtol=0)
    assert model.batches == [batch]
    assert guided.projected[0] is guided.projected[0]  # once for all steps


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="w_score needs a score"):
        guide(ToyBackbone(), text(2, 2.0), None, 4.0, None, 1.0)
    with pytest.raises(InputError, match="batch size"):
        guide(ToyBackbone(), text(2, 2.0), S, 4.0, text(3, 0.0))
    with pytest.raises(InputError, match="batch size"):
        guide(ToyBackbone(), text(2, 2.0), S[:1], 4.0)
