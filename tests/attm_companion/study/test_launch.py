"""Several processes; that they train what one trains is in `test_smoke_chain.py`."""

import pytest

from attm_companion.study.launch import Launch, launch_processes
from attm_core.errors import TrainingError


def cross_the_wires(accelerator) -> None:
    raise ValueError("the wires are crossed")


@pytest.mark.slow
def test_a_process_that_fails_is_an_error_of_ours(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(TrainingError, match=r"one of 2 processes failed: [\s\S]*wires are crossed"):
        launch_processes(cross_the_wires, Launch(processes=2), on_gpu=False)
