from publishing_samples import pretend_executed, write_results

from attm_companion.book.pages import execution_page, provenance_page
from attm_core.files import write_json


def test_execution_statistics_come_from_papermill(project):
    pretend_executed(project)
    text = execution_page([project.executed / "demo.ipynb"], "smoke")
    assert "Notebooks executed by papermill: 1, in 2 s" in text
    for part in ("notebooks/demo.html", "<td>1.5</td>", "2026-01-02 03:04:05", "smoke"):
        assert part in text


def test_provenance_has_a_row_a_result_and_puts_what_differs_into_columns(project, tmp_path):
    assert "files (0)" in provenance_page(tmp_path / "nothing", "smoke")
    text = provenance_page(project.results, "smoke")
    assert "- code commit: abc1234" in text and '<th scope="row">table</th><td>4</td>' in text
    assert "packages" not in text, "only plain values"
    write_results(project.results, "other")
    write_json(project.results / "other.json", {"code_commit": "abc1234", "wall_s": 3.5})
    text = provenance_page(project.results, "smoke")
    assert '<th scope="col">wall time (s)</th>' in text
    assert '<th scope="row">other</th><td>4</td><td>3.5</td>' in text
    assert '<th scope="row">table</th><td>4</td><td>—</td>' in text
    assert text.count("abc1234") == 1
