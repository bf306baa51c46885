from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure

from attm_companion.ledger import views
from attm_companion.ledger.highlights import LEAST_SURE, MATTER_MOST, departures, least_sure
from attm_companion.ledger.ledger import build_ledger
from attm_companion.ledger.page import chosen_view
from attm_companion.ledger.release.audit import open_audit
from attm_companion.ledger.release.clips import MeasuredClip
from attm_companion.study.result_files import ROOT
from attm_core.randomness import numpy_generator


@pytest.fixture
def axis():
    return Figure().add_subplot()


def clip(system, prompt):
    draw = numpy_generator(1, system, prompt)
    detail = draw.standard_normal(50)
    measures = {"system": system, "prompt_id": prompt, "loudness_lufs": -16.5 - prompt}
    line = np.linspace(0, 1, 4)
    return MeasuredClip(measures, line, line, detail / np.linalg.norm(detail))


def test_committed_audit_is_drawn_without_any_clip(axis, monkeypatch):
    monkeypatch.delenv("ATTM_RELEASED_DIR", raising=False)
    audit, measured = open_audit(None, ROOT / "results" / "released_audit.json")
    assert "as last measured" in views.describe_audit(audit)
    views.plot_levels(axis, audit, measured, "loudness_lufs", -16.5)
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert "promised: -16.5" in labels
    assert any("median and range" in label for label in labels)
    axis.clear()
    views.plot_noise_matrix(axis, audit, measured)
    assert axis.images[0].get_array().shape == (3, 3)


def test_measured_clips_are_drawn_one_by_one(axis, evidence):
    measured = [clip(system, prompt) for system in ("baseline", "sub1") for prompt in (1, 2)]
    views.plot_levels(axis, evidence.audit, measured, "loudness_lufs", -16.5)
    points = np.concatenate([c.get_offsets() for c in axis.collections])
    assert sorted(points[:, 1]) == [-18.5, -18.5, -17.5, -17.5]
    axis.clear()
    views.plot_noise_matrix(axis, evidence.audit, measured)
    matrix = axis.images[0].get_array()
    assert matrix.shape == (4, 4)
    assert np.allclose(np.diag(matrix), 1)


def test_lag_picture_shows_the_shift_of_the_seeds(axis, evidence):
    views.plot_lags(axis, evidence.audit)
    lines = {line.get_label(): line.get_xydata() for line in axis.lines}
    peak = lines["Sub. 1 and Sub. 2"]
    paper = evidence.paper
    shift = paper["hyper.inference.seed_sub1"] - paper["hyper.inference.seed_sub2"]
    assert peak[peak[:, 1].argmax(), 0] == shift


def test_other_pictures_have_labelled_axes(evidence):
    scores = partial(views.plot_score_histogram, metric="clap")
    for plot in (views.plot_top_spectra, views.plot_track_scores, views.plot_reliability, scores):
        axis = Figure().add_subplot()
        plot(axis, evidence.audit)
        assert axis.get_xlabel() and axis.get_ylabel() and axis.get_legend(), plot


def test_tables_of_the_chapter(evidence):
    rows = views.table2_rows(evidence.audit)
    assert rows.loc["Sub. 1, clap", "paper"] == evidence.paper["table2.row4.clap"]
    lengths = views.length_rows(evidence.audit)
    assert len(lengths) == 12
    assert (lengths["Holm"] >= lengths["p two-sided"]).all()


def test_highlights_are_lines_of_the_ledger(entries, evidence_with_mini):
    html = chosen_view(entries, MATTER_MOST, "ten").html
    assert [html.count(f'id="chosen-{claim_id}"') for claim_id in MATTER_MOST] == [1] * 10
    assert html.count("<details>") == 10
    assert list(least_sure(entries).index) == list(LEAST_SURE)
    table = departures(build_ledger(evidence_with_mini))
    assert "negative prompt changes CLAP by" in table.loc["C73", "mini study"]
    assert table["mini study"].isna()["C57"]
    assert "C48" not in table.index
