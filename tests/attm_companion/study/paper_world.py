"""The paper's assets in miniature: files of the real kinds with random weights, and a profile."""

import json
import zipfile
from itertools import product
from pathlib import Path

import pandas as pd
import published_files as published
import soundfile
import torch
from torch import Tensor
from vae_weights import TINY, TINY_BIGVGAN

from attm_companion.study.profile import Profile, load_profile
from attm_companion.world.random_networks import random_mdx_extra
from attm_core.codec.bigvgan_vocoder import random_bigvgan
from attm_core.codec.mmaudio_vae import random_mmaudio_vae
from attm_core.encoders.laion_clap import _CHECKPOINTS, build_network
from attm_core.generation.separation import DemucsSeparator
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import TuneJuryHead

RATE_HZ = 44_100
CLIP_S = 1.0
N_PROMPTS, N_REFERENCE, N_TRACKS = 3, 4, 7
WORDS = ["a calm piano piece", "loud drums", "a piano", "a loud piece", "calm drums"]
SMALL_DEMUCS = {"channels": 4, "depth": 5, "dconv_attn": 9, "dconv_lstm": 9, "nfft": 1024}


def wave(name: str, duration_s: float) -> Tensor:
    """A tone in noise, another for each name."""
    generator = torch_generator(0, "paper world", name)
    n = round(RATE_HZ * duration_s)
    hz = 200 + 600 * float(torch.rand((), generator=generator))
    tone = torch.sin(torch.arange(n) * (2 * torch.pi * hz / RATE_HZ))
    return 0.2 * tone + 0.05 * torch.randn(n, generator=generator)


def write_assets(root: Path) -> None:
    """Every file that the stages of the paper's cast read, but the separator's."""
    published.write_flan_t5(made(root / "flan_t5"))
    published.write_mert(made(root / "mert"))
    published.write_roberta_tokenizer(made(root / "roberta_tokenizer"))
    for role, (asset, file) in _CHECKPOINTS.items():
        network = published.redraw(build_network(published.SMALL_CLAP), role)
        torch.save(published.clap_checkpoint(network), made(root / asset) / file)
    generator = torch_generator(0, "paper world")
    vae = random_mmaudio_vae(generator, TINY)
    torch.save(vae.state_dict(), made(root / "vae") / "v1-44.pth")
    random_bigvgan(TINY_BIGVGAN, generator)._save_pretrained(made(root / "vocoder"))
    head = TuneJuryHead(512, 16, (8, 4), generator=generator)
    torch.save(head.state_dict(), made(root / "tunejury") / "tunejury.pt")
    write_music(root)


def write_music(root: Path) -> None:
    """Tracks with captions, reference tracks in their archive, prompts."""
    jamendo, tracks = made(root / "mtg_jamendo"), []
    for number in range(N_TRACKS):
        name = f"{number:02d}/{100 + number}.flac"
        path = jamendo / name
        made(path.parent)
        soundfile.write(path, wave(name, 2.2 * CLIP_S).numpy(), RATE_HZ)
        tracks.append({"path": name, "caption": WORDS[number % len(WORDS)]})
    (jamendo / "jamendo_qwen.json").write_text(json.dumps(tracks))
    write_song_describer(made(root / "song_describer"))
    prompts = [{"prompt_id": i, "prompt": text} for i, text in enumerate(WORDS[:N_PROMPTS])]
    (made(root / "released" / "tunejury") / "sdd100.json").write_text(json.dumps(prompts))


def write_song_describer(folder: Path) -> None:
    columns = ("caption_id", "track_id", "caption", "is_valid_subset", "path", "duration")
    rows = [(i, 900 + i, WORDS[i], True, f"{i:02d}/{900 + i}.mp3", 120) for i in range(N_REFERENCE)]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "song_describer.csv", index=False)
    with zipfile.ZipFile(folder / "audio.zip", "w") as archive:
        for number in range(N_REFERENCE):
            path = folder / f"{900 + number}.2min.mp3"
            soundfile.write(path, wave(path.name, 2 * CLIP_S).numpy(), RATE_HZ)
            archive.write(path, f"audio/{number:02d}/{path.name}")
            path.unlink()


def write_votes(root: Path) -> None:
    """A few votes of each of the four sources in their published forms, and lists of splits."""
    splits = made(root / "released" / "tunejury" / "splits")
    for name, number in product(("music_arena", "musicprefs", "aime", "songeval"), range(4)):
        clip = wave(f"{name}{number}", CLIP_S).numpy()
        soundfile.write(made(root / name / "mp3") / f"{number}.flac", clip, RATE_HZ)
    asked = [
        {"a_audio": f"mp3/{i % 4}.flac", "b_audio": f"mp3/{(i + 1) % 4}.flac", "prompt": text}
        for i, text in enumerate([*WORDS, ""])
    ]
    tracks = [
        {"id": i, "model": "m", "description": "calm, piano", "audio": f"mp3/{i}.flac"}
        for i in range(4)
    ]
    axes = dict.fromkeys(("Coherence", "Musicality", "Memorability", "Clarity", "Naturalness"))
    rated = [
        {"file_name": f"mp3/{i}.flac", "annotation": [dict.fromkeys(axes, 1 + i)]} for i in range(4)
    ]
    rows = {
        "music_arena/battles": [
            a | {"battle_uuid": f"u{i}", "vote": "AB"[i % 2]} for i, a in enumerate(asked)
        ],
        "musicprefs/votes": [a | {"winner": "b" if i else "tie"} for i, a in enumerate(asked)],
        "aime/survey": [{"a_id": i % 4, "b_id": (i + 1) % 4, "winner": "A"} for i in range(6)],
        "aime/tracks": tracks,
        "songeval/metadata": rated,
    }
    for place, lines in rows.items():
        (root / f"{place}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ids = {"MusicArena": "u{}", "MusicPrefs": "prefs_{:06d}", "AIME": "aime_{:06d}"}
    for source, name in (ids | {"SongEval": "songeval_{:06d}"}).items():
        pairs = [name.format(number) for number in range(6)]
        lists = {"metadata": {}, "train": pairs[:2], "valid": pairs[2:3], "test": pairs[3:]}
        (splits / f"{source}-random_split.json").write_text(json.dumps(lists))


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tiny_separator() -> DemucsSeparator:
    return random_mdx_extra(torch.Generator().manual_seed(0), SMALL_DEMUCS)


def tiny_profile() -> Profile:
    """The paper's profile with everything that takes time made small."""
    values = load_profile("paper").model_dump()
    values["cast"] |= {"n_samples": round(RATE_HZ * CLIP_S), "shard_size": 4, "vae": TINY}
    values["cast"]["windows"] |= {
        "window_s": CLIP_S, "min_track_s": CLIP_S / 2, "n_valid": 2, "n_test": 1,
    }  # fmt: skip
    values["cast"]["clap"] = published.SMALL_CLAP
    training = {"max_epochs": 2, "batch_size": 4}
    values["cast"]["votes"] |= {"hidden": (8, 4), "songeval_pairs": 6}
    values["cast"]["votes"]["training"] |= training
    values["backbone"] |= {"width": 8, "n_heads": 1, "n_joint": 1, "n_fused": 1, "ffn_multiple": 8}
    steps = {"n_steps": 2, "batch_size": 2, "save_every": 1, "warmup_steps": 0}
    values["sft"] |= steps
    values["expert"] |= {"n_samples": 4, "n_keep": 2}
    values["expert"]["finetune"] |= steps
    values["expert"]["polish"] |= steps
    values["crpo"] |= {"n_prompts": 3, "n_per_prompt": 2}
    values["crpo"]["training"] |= steps
    sizes = {"n_steps": 2, "batch_size": 2, "n_listening": 1, "n_prompts": N_PROMPTS}
    values["generation"] |= sizes
    return Profile.model_validate(values | {"name": "tiny-paper"})
