"""Recompute the golden files from a checkout of the reference (nothing of it is kept here).

git clone https://github.com/hkchengrex/MMAudio REFERENCE
python tests/attm_core/codec/make_vae_golden.py REFERENCE
"""

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
from vae_weights import TINY, formula_state, tiny_latents, tiny_mel

from attm_core.configuration import MMAudioVAEConfig

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = "mmaudio.ext.autoencoder"
COMMIT = "974010a"


def reference_vae(checkout: Path, config: MMAudioVAEConfig) -> Any:
    """The reference's class, past its package's __init__, which needs more than the VAE does."""
    sys.path.insert(0, str(checkout))
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(checkout.joinpath(*PACKAGE.split(".")))]
    sys.modules[PACKAGE] = package
    module = importlib.import_module(f"{PACKAGE}.vae")
    return module.VAE(
        data_dim=config.n_mels, embed_dim=config.n_channels, hidden_dim=config.width
    ).eval()


def write_goldens(checkout: Path) -> None:
    tiny = reference_vae(checkout, TINY)
    tiny.load_state_dict(formula_state(tiny.state_dict()))
    tiny.remove_weight_norm()
    with torch.no_grad():
        posterior = tiny.encode(tiny_mel())
        values = {
            "mean": posterior.mean.tolist(),
            "std": posterior.std.tolist(),
            "log_mel": tiny.decode(tiny_latents()).tolist(),
        }
    write("mmaudio_vae_tiny.json", values)
    with torch.device("meta"):
        full = reference_vae(checkout, MMAudioVAEConfig()).state_dict()
    write("mmaudio_vae_44k_keys.json", {"shapes": {k: list(v.shape) for k, v in full.items()}})


def write(name: str, content: dict[str, object]) -> None:
    source = (
        f"mmaudio.ext.autoencoder.vae.VAE of github.com/hkchengrex/MMAudio at {COMMIT}, "
        f"torch {torch.__version__} on CPU, float32, by tests/codec/make_vae_golden.py"
    )
    (GOLDEN / name).write_text(json.dumps({"source": source, **content}) + "\n")


if __name__ == "__main__":
    write_goldens(Path(sys.argv[1]))
