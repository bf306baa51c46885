import pytest
from scipy.stats import ttest_rel
from studies import N_PROMPTS, Asked, KnownStudy, noise, scores

from attm_companion.study.per_prompt import read_prompts, write_prompts
from attm_companion.study.result_files import ROOT, read_result, write_result
from attm_companion.tables import cumulative

COMMITTED = sorted(path.parents[1] for path in ROOT.glob("results/*/prompts/cumulative.csv"))
COLUMN = {"clap": "clap", "reward": "reward", "vocals": "vocals_db"}


def recheck(profile: str, experiment: str) -> int:
    """How many p values of a table come out again from the scores of every prompt."""
    table, checked = read_prompts(profile, experiment), 0
    for line in read_result(profile, experiment).values:
        if not line.test.startswith("paired t") or line.against not in set(table["row"]):
            continue
        drawn = table[table["generation_seed"] == line.generation_seed]
        pivot = drawn.pivot(index="prompt", columns="row", values=COLUMN[line.metric])
        alternative = line.test.removeprefix("paired t, ")
        again = ttest_rel(pivot[line.row], pivot[line.against], alternative=alternative)
        assert again.pvalue == pytest.approx(line.p, rel=1e-4, abs=1e-12)
        checked += 1
    return checked


def draw(asked: Asked):
    drawn = noise(f"{asked.stage}{asked.forward}{asked.protocol.seed}", 0.3)
    return scores(clap=0.3 + drawn, reward=noise("prompts") + drawn)


def test_p_values_come_out_again_from_the_file(monkeypatch):
    study = KnownStudy(draw)
    captions = [f"a tune, number {number}" for number in range(N_PROMPTS)]
    monkeypatch.setattr(type(study.evaluation), "captions", lambda protocol, frozen: captions)
    write_result(cumulative.tabulate(study))
    asked = cumulative.conditions(study)
    rows = [(row, cell) for row, cells in asked.items() for cell in cells.values()]
    write_prompts(study, "cumulative", rows)
    assert recheck("smoke", "cumulative") == 8
    table = read_prompts("smoke", "cumulative")
    assert len(table) == len(rows) * N_PROMPTS
    assert list(table)[:5] == ["row", "s", "training_seed", "generation_seed", "prompt"]
    assert table["s"].isna().sum() == 2 * N_PROMPTS  # the baseline has no score
    assert read_prompts("smoke", "captions")["caption"].str.endswith("number 3").sum() == 2


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: path.name)
def test_committed_p_values_come_out_again(folder, monkeypatch):
    monkeypatch.setenv("ATTM_RESULTS", str(ROOT / "results"))
    for experiment in ("cumulative", "cross_mechanism", "variants"):
        assert recheck(folder.name, experiment) >= 8
