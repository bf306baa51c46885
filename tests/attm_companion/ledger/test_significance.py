import numpy as np
from scipy import stats

from attm_companion.ledger.checks.significance import bound
from attm_companion.paper_numbers import load_paper
from attm_core.evaluation.statistics import paired_t_test


def test_the_bound_is_where_the_paired_test_turns(evidence):
    """Two rows of equal deviation and the needed correlation: p crosses the level there."""
    audit = evidence.audit
    found = bound(load_paper(), audit, "table2.row0", "table2.row1", "clap", "two-sided")
    sd = max(system["sd"] for system in audit["scores.clap.systems"].values())
    draw = np.random.default_rng(0)
    x, noise = draw.standard_normal((2, 100))
    x, noise = (stats.zscore(part, ddof=1) for part in (x, noise - noise @ x / (x @ x) * x))
    for r, significant in ((found.needed_r - 0.02, False), (found.needed_r + 0.02, True)):
        y = r * x + np.sqrt(1 - r**2) * noise
        test = paired_t_test(sd * x, sd * stats.zscore(y, ddof=1) + found.change)
        assert (test.p < 0.05) is significant
    always = bound(load_paper(), audit, "table2.row0", "table2.row1", "reward", "greater")
    never = bound(load_paper(), audit, "table2.row2", "table2.row3", "clap", "greater")
    assert (always.needed_r, never.needed_r) == (-1, 1)  # a loss is no improvement
