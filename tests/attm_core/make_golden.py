"""Recompute the golden files from checkouts of the references (nothing of them is kept here).

git clone https://github.com/xiquan-li/MeanAudio
git clone https://github.com/hkchengrex/MMAudio
python tests/attm_core/make_golden.py MeanAudio MMAudio
"""

import importlib
import json
import sys
import types
from pathlib import Path

import torch

from attm_core.backbone.config import FluxAudioConfig
from attm_core.configuration import MMAudioVAEConfig

sys.path.append(str(Path(__file__).parent / "backbone"))
sys.path.append(str(Path(__file__).parent / "codec"))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import seeded_weights
import vae_weights
from side_by_side import reference_flux_audio

HERE = Path(__file__).parent
FLUX_AUDIO = "meanaudio.model.networks.FluxAudio (use_rope=True) of github.com/xiquan-li/MeanAudio"
VAE = "mmaudio.ext.autoencoder.vae.VAE of github.com/hkchengrex/MMAudio"
PACKAGE = "mmaudio.ext.autoencoder"


@torch.no_grad()
def write_flux_audio(checkout: Path) -> None:
    tiny = reference_flux_audio(checkout, FluxAudioConfig(**seeded_weights.TINY))
    tiny.load_state_dict(seeded_weights.formula_weights(tiny.state_dict()))
    given = seeded_weights.tiny_inputs()
    velocity = tiny(given["x_t"], given["tokens"], given["pooled"], given["t"])
    source, golden = f"{FLUX_AUDIO} at 8740a3e", HERE / "backbone" / "golden"
    write(golden / "flux_audio_tiny.json", source, velocity=velocity.tolist())
    full = reference_flux_audio(checkout, FluxAudioConfig()).state_dict()
    write(golden / "flux_audio_s_44k_keys.json", source, shapes=shapes(full))


def reference_vae(checkout: Path, config: MMAudioVAEConfig) -> torch.nn.Module:
    """The reference's class, past its package's __init__, which needs more than the VAE does."""
    sys.path.insert(0, str(checkout))
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(checkout.joinpath(*PACKAGE.split(".")))]
    sys.modules[PACKAGE] = package
    module = importlib.import_module(f"{PACKAGE}.vae")
    sizes = {"data_dim": config.n_mels, "embed_dim": config.n_channels, "hidden_dim": config.width}
    return module.VAE(**sizes).eval()


@torch.no_grad()
def write_vae(checkout: Path) -> None:
    tiny = reference_vae(checkout, vae_weights.TINY)
    tiny.load_state_dict(vae_weights.formula_state(tiny.state_dict()))
    tiny.remove_weight_norm()
    posterior = tiny.encode(vae_weights.tiny_mel())
    values = {"mean": posterior.mean.tolist(), "std": posterior.std.tolist()}
    values["log_mel"] = tiny.decode(vae_weights.tiny_latents()).tolist()
    source, golden = f"{VAE} at 974010a", HERE / "codec" / "golden"
    write(golden / "mmaudio_vae_tiny.json", source, **values)
    with torch.device("meta"):
        full = reference_vae(checkout, MMAudioVAEConfig()).state_dict()
    write(golden / "mmaudio_vae_44k_keys.json", source, shapes=shapes(full))


def shapes(state: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in state.items()}


def write(path: Path, source: str, **content: object) -> None:
    source += f", torch {torch.__version__} on CPU, float32, by make_golden.py"
    path.write_text(json.dumps({"source": source, **content}) + "\n")


if __name__ == "__main__":
    write_flux_audio(Path(sys.argv[1]))
    write_vae(Path(sys.argv[2]))
