import dataclasses
import json
import zipfile

import pytest
import torch
from torch import nn

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, read_metadata, save_tensors
from attm_core.randomness import torch_generator
from attm_core.weights import build, load_module, read_state_dict, require_fit, save_module


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int = 3


@dataclasses.dataclass(frozen=True)
class Config:
    inner: Inner = dataclasses.field(default_factory=Inner)
    depths: tuple[int, ...] = (1, 2)


class Net(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.linear = nn.Linear(config.inner.width, 2)


def test_weights_come_from_the_generator_alone():
    state = torch.random.get_rng_state()
    first, second = (build(lambda: nn.Linear(50, 40), torch_generator(0)) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.random.get_rng_state(), state)
    # He-normal: variance 2 / fan-in.
    assert float(first.weight.detach().std()) == pytest.approx((2 / 50) ** 0.5, rel=0.1)
    assert not first.bias.detach().any()


def test_round_trip_with_nested_configuration(tmp_path):
    config = Config(Inner(5), (3,))
    net = build(lambda: Net(config), torch_generator(0))
    path = save_module(tmp_path / "net.safetensors", net, config)
    loaded, read = load_module(path, Config, Net)
    assert read == config
    assert torch.equal(loaded.linear.weight, net.linear.weight)
    assert not loaded.training


GOOD = dataclasses.asdict(Config())


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("Net", {**GOOD, "more": 1}, "another Config"),
        ("Net", {"inner": {"width": "wide"}, "depths": [1]}, "inner.*valid integer"),
        ("Other", GOOD, "holds a Other, not a Net"),
    ],
)
def test_another_configuration_or_class_is_refused(tmp_path, name, config, message):
    metadata = {"class": name, "config": json.dumps(config, sort_keys=True)}
    path = save_tensors(tmp_path / "a.safetensors", Net(Config()).state_dict(), metadata)
    with pytest.raises(CheckpointError, match=message):
        load_module(path, Config, Net)


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    metadata = {f"key {n}": 'ä\x01\n"\\\u2028' * n for n in range(6)}
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    written = set()
    for _ in range(8):
        path = save_tensors(tmp_path / "net.safetensors", tensors, metadata)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert read_metadata(path) == metadata
    assert load_tensors(path)["b"].tolist() == [0.0, 1.0, 2.0]


TENSORS = {"a": torch.arange(4000.0), "b": torch.ones(2, 3)}


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read_and_no_other_archive(tmp_path, zipped):
    path = tmp_path / "w.pth"
    torch.save({"generator": TENSORS, "steps": 3}, path, _use_new_zipfile_serialization=zipped)
    assert read_state_dict(path, inner_key="generator").keys() == TENSORS.keys()
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state_dict(path)["a"], TENSORS["a"])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(CheckpointError, match="fetch it again"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("content", "inner_key"),
    [([1, 2], None), ({"a": 1}, None), ({"a": TENSORS}, "generator"), ([1], "generator")],
)
def test_other_content_is_refused(tmp_path, content, inner_key):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_state_dict(tmp_path / "w.pth", inner_key)


def test_all_problems_are_counted_and_five_shown():
    wanted = {f"layer.{i}": torch.empty(1, device="meta") for i in range(7)}
    require_fit(wanted, {name: torch.ones(1) for name in wanted}, "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth does not fit, 8 .*4 is missing …\. Fetch"):
        require_fit(wanted, {"x": torch.ones(1)}, "w.pth")
