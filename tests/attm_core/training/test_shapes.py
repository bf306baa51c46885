"""The shape annotations of the stage's tensor functions hold, and are looked at."""

import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from attm_core.training import crpo, flow_matching

checked = jaxtyped(typechecker=beartype)
BOX, ONE = torch.zeros(2, 4, 3), torch.zeros(2)
SHORT = torch.zeros(3)


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        (flow_matching.interpolate, (BOX, BOX, ONE), (BOX, BOX, SHORT)),
        (flow_matching.flow_matching_loss, (BOX, BOX, BOX), (BOX, BOX, BOX[:, :2])),
        (crpo.preference_logit, (ONE, ONE, ONE, ONE), (ONE, ONE, ONE, SHORT)),
        (crpo.crpo_loss, (ONE, ONE), (ONE, SHORT)),
    ],
)
def test_annotated_shapes(function, right, wrong):
    checked(function)(*right)
    with pytest.raises(TypeCheckError, match=r"type-?checking|Type-check"):
        checked(function)(*wrong)
