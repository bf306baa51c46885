"""The bill of a generation: every role is charged, nothing else changes."""

import json
import mmap
import time

import pytest
import torch
from toy_cast import ToyBackbone, ToyCodec, ToyStudio

from attm_companion.commands import account as module
from attm_companion.commands.account import (
    BACKBONE,
    CODEC,
    LISTENER,
    LOUDNESS,
    REST,
    SEPARATION,
    TEXT,
    Account,
    accounted,
    resident_mb,
)
from attm_core.errors import ConfigError
from attm_core.generation.clips import Request, make_clips
from attm_core.generation.sampler import GenerationConfig
from attm_core.generation.separation import BatchSeparator

CONFIG = GenerationConfig(s=5.0, w=4.0, n_steps=3, batch_size=2)
REQUEST = Request(("calm", "fast"), CONFIG, seed=42, prefix="")


class NetworkCodec(ToyCodec):
    """A codec that decodes with two networks, one of which calls a third."""

    def __init__(self) -> None:
        self.vae = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
        self.vocoder = torch.nn.Linear(3, 1, bias=False)

    def decode(self, latents):
        with torch.no_grad():
            self.vocoder(self.vae(latents))
        return super().decode(latents)


class NetworkBackbone(ToyBackbone):
    """A backbone that holds its weights without calling them."""

    def __init__(self) -> None:
        super().__init__()
        self.source = torch.nn.Linear(4, 4)
        self.part = self.source.weight


def bill(request: Request = REQUEST, codec=None) -> tuple[list, Account]:
    studio = ToyStudio(codec)
    studio.backbone = NetworkBackbone()
    cast, account = accounted(studio.cast())
    with account:
        clips = make_clips(request, cast)
    return clips, account


def test_every_part_is_charged_once_a_call() -> None:
    _, account = bill()
    calls = {part: cost.calls for part, cost in account.parts.items()}
    # A trajectory: null text, projection, three velocities, and the scale of the latents.
    expected = {TEXT: 1, BACKBONE: 6, CODEC: 1, SEPARATION: 3, LISTENER: 1, LOUDNESS: 0, REST: 0}
    assert calls == expected
    assert all(cost.wall_s >= 0 for cost in account.parts.values())


def test_clips_are_those_of_the_bare_cast() -> None:
    billed, _ = bill()
    bare = make_clips(REQUEST, ToyStudio().cast())
    for clip, other in zip(billed, bare, strict=True):
        assert torch.equal(clip.wave, other.wave)
        assert clip.facts() == other.facts()


def test_the_cast_keeps_its_roles() -> None:
    original = ToyStudio().cast()
    cast, _ = accounted(original)
    assert isinstance(cast.separator, BatchSeparator)
    assert cast.codec.sample_rate_hz == original.codec.sample_rate_hz
    assert cast.uid == original.uid
    assert isinstance(original.codec, ToyCodec)


def test_the_parts_add_up_to_the_time_of_the_block() -> None:
    account = Account()
    began = time.perf_counter()
    with account:
        time.sleep(0.02)
        with account.charging(CODEC):
            time.sleep(0.05)
    taken = time.perf_counter() - began
    assert account.parts[CODEC].wall_s == pytest.approx(0.05, abs=0.03)
    assert account.parts[REST].wall_s >= 0.02
    assert account.total.wall_s == pytest.approx(taken, abs=0.02)


def test_memory_of_a_part_is_seen_while_it_is_held() -> None:
    account = Account()
    with account:
        before = resident_mb()
        with account.charging(CODEC):
            block = mmap.mmap(-1, 100_000_000)  # of the system's own: the heap may have room left
            for place in range(0, len(block), mmap.PAGESIZE):
                block[place] = 1
            time.sleep(5 * module.SAMPLED_EVERY_S)
            block.close()
        with account.charging(SEPARATION):
            pass
    assert account.parts[CODEC].peak_memory_mb > before + 80
    assert account.parts[SEPARATION].peak_memory_mb < before + 60
    assert account.total.peak_memory_mb == account.parts[CODEC].peak_memory_mb


def test_networks_inside_a_part_are_counted_and_named() -> None:
    _, account = bill(codec=NetworkCodec())
    inside = account.inside[CODEC]
    assert {name: (cost.calls, cost.parameters) for name, cost in inside.items()} == {
        "Sequential": (1, 9),
        "Linear": (1, 3),
    }
    assert account.parts[CODEC].parameters == 12
    assert account.parts[BACKBONE].parameters == 20
    assert account.total.parameters == 32
    assert sum(cost.wall_s for cost in inside.values()) <= account.parts[CODEC].wall_s
    assert account.inside.get(TEXT) is None
    assert account.parts[TEXT].parameters is None


def test_a_second_call_does_not_count_weights_twice() -> None:
    codec = NetworkCodec()
    cast, account = accounted(ToyStudio(codec).cast())
    with account:
        for _ in range(2):
            cast.codec.decode(torch.zeros(1, 4, 2))
    assert account.parts[CODEC].parameters == 12
    assert account.inside[CODEC]["Linear"].calls == 2


def test_hooks_are_gone_after_an_error() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    account = Account()
    with (
        pytest.raises(ZeroDivisionError),
        account,
        account.charging(CODEC, inside=True),
    ):
        Broken()(torch.zeros(1))
    assert account.inside[CODEC]["Broken"].calls == 1
    torch.nn.Linear(1, 1)(torch.zeros(1))
    assert list(account.inside[CODEC]) == ["Broken"]


def test_a_role_outside_the_block_is_an_error() -> None:
    cast, _ = accounted(ToyStudio().cast())
    with pytest.raises(ConfigError, match="inside its `with` block"):
        cast.encode_text(["calm"])


def test_table_and_file_say_the_same(tmp_path) -> None:
    _, account = bill(codec=NetworkCodec())
    lines = account.table().splitlines()
    assert lines[0].split() == ["part", "calls", "wall", "s", "peak", "MB", "parameters"]
    starts = [TEXT, BACKBONE, CODEC, "  Sequential", "  Linear", SEPARATION, LOUDNESS, LISTENER]
    starts += [REST, "total"]
    assert all(line.startswith(start) for line, start in zip(lines[1:], starts, strict=True))
    stored = json.loads(account.write(tmp_path / "bill.json").read_text())
    assert stored["parts"][CODEC]["inside"]["Linear"]["parameters"] == 3
    assert f"{stored['total']['wall_s']:.3f}" in lines[-1]


def test_without_proc_memory_is_unknown(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module, "STATM", tmp_path / "absent")
    _, account = bill()
    assert account.total.peak_memory_mb is None
    assert "–" in account.table().splitlines()[-1]
