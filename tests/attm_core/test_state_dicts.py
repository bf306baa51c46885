"""State dicts of others: read safely, checked whole."""

import zipfile
from pathlib import Path

import pytest
import torch

from attm_core.errors import CheckpointError
from attm_core.files import save_tensors
from attm_core.weights import read_state_dict, require_fit

TENSORS = {"a": torch.arange(4000.0), "b": torch.ones(2, 3)}


class Code:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_both_formats_of_torch_save(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state_dict(path)["a"], TENSORS["a"])


def test_reads_safetensors_and_nested_pickles(tmp_path: Path) -> None:
    save_tensors(tmp_path / "w.safetensors", TENSORS)
    torch.save({"generator": TENSORS, "steps": 3}, tmp_path / "w.pt")
    assert read_state_dict(tmp_path / "w.safetensors").keys() == TENSORS.keys()
    assert read_state_dict(tmp_path / "w.pt", inner_key="generator").keys() == TENSORS.keys()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match="fetch it again"):
        read_state_dict(path)


def test_another_zip_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(CheckpointError, match="fetch it again"):
        read_state_dict(path)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"a": Code(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"asks for code to be run .*never done"):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "inner_key"),
    [([1, 2], None), ({"a": 1}, None), ({"a": TENSORS}, "generator"), ([1], "generator")],
)
def test_other_content_is_refused(tmp_path: Path, content: object, inner_key: str | None) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_state_dict(tmp_path / "w.pth", inner_key)


def test_all_problems_are_counted_and_five_shown() -> None:
    wanted = {f"layer.{i}": torch.ones(1) for i in range(7)}
    with pytest.raises(CheckpointError, match=r"w\.pth does not fit, 8 .*4 is missing …\. Fetch"):
        require_fit(wanted, {"x": torch.ones(1)}, "w.pth")


def test_a_fit_is_silent_and_needs_no_values_of_the_module() -> None:
    require_fit({"a": torch.empty(4000, device="meta")}, {"a": TENSORS["a"]}, "w.pth")
