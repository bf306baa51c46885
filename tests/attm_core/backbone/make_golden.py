"""Recompute the golden files from a checkout of the reference (nothing of it is kept here).

git clone https://github.com/xiquan-li/MeanAudio REFERENCE
python tests/attm_core/backbone/make_golden.py REFERENCE
"""

import json
import sys
from pathlib import Path

import torch

from attm_core.backbone.config import FluxAudioConfig

sys.path.append(str(Path(__file__).parents[1] / "codec"))
sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from seeded_weights import TINY, formula_weights, tiny_inputs
from side_by_side import reference_flux_audio

GOLDEN = Path(__file__).parent / "golden"


def main(checkout: Path) -> None:
    tiny = reference_flux_audio(checkout, FluxAudioConfig(**TINY))
    tiny.load_state_dict(formula_weights(tiny.state_dict()))
    given = tiny_inputs()
    with torch.no_grad():
        velocity = tiny(given["x_t"], given["tokens"], given["pooled"], given["t"])
    write("flux_audio_tiny.json", {"velocity": velocity.tolist()})
    full = reference_flux_audio(checkout, FluxAudioConfig()).state_dict()
    write("flux_audio_s_44k_keys.json", {"shapes": {k: list(v.shape) for k, v in full.items()}})


def write(name: str, content: dict[str, object]) -> None:
    source = (
        "meanaudio.model.networks.FluxAudio (use_rope=True) of github.com/xiquan-li/MeanAudio at "
        f"8740a3e, torch {torch.__version__} on CPU, float32, by make_golden.py"
    )
    (GOLDEN / name).write_text(json.dumps({"source": source, **content}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
