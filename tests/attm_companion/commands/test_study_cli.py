import pytest
from studies import KnownStudy, scores

from attm_companion.commands.cli import main
from attm_companion.study import study as study_module
from attm_companion.study.result_files import results_folder, results_hash, write_result
from attm_companion.tables import experiments


def test_a_dry_run_lists_stages_and_makes_none(own_folders, capsys):
    assert main(["study", "--profile", "smoke", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("to run  Corpus  [corpus-")
    assert any(line.startswith("to run  CRPO global_adaln → input_add  [") for line in lines)
    count = sum(line.startswith("to run") for line in lines)
    assert lines[-1] == f"{count} stages, {count} to run"
    assert not list(own_folders.rglob("stage.json"))


@pytest.mark.parametrize("only", [[], ["--only", "head_sweep"]])
def test_a_run_ends_with_the_hash_of_its_results(only, monkeypatch, capsys):
    called = []

    def run(study, *arguments):
        called.append((study.profile.name, study.training_seed, *arguments))
        result = KnownStudy(lambda asked: scores()).result("toy")
        result.add("toy", "value", 1.0, "1")
        write_result(result)

    monkeypatch.setattr(experiments, "run_study", run)
    monkeypatch.setattr(experiments, "run_experiment", run)
    changes = ["--seed", "7", "--set", "crpo.beta=200", "--jobs", "3"]
    assert main(["study", "--profile", "smoke", *changes, *only]) == 0
    assert called == [("smoke+crpo.beta=200.0+seed=7", 7, *only[1:], 3)]
    digest = results_hash(results_folder(called[0][0]))
    assert capsys.readouterr().out == f"results hash of {called[0][0]}: {digest}\n"
    assert study_module.Study("smoke").training_seed != 7
