import pytest
import yaml

from attm_companion.paper_numbers import PAPER_FILE, load_paper
from attm_core.errors import InputError


def test_printed_digits_and_emphasis_are_kept():
    paper = load_paper()
    cell = paper.cell("table2.row2.clap")
    assert (cell.value, cell.text, cell.decimals, cell.mark) == (0.29, "0.290", 3, "†")
    assert cell.half_unit == pytest.approx(0.0005)
    assert paper.cell("table3.sub1.fad").bold
    assert not paper.cell("table3.sub2.reward").bold
    assert paper.cell("hyper.stage1.lr").value == 1e-4
    rows = paper.column("table3", "fad")  # of nested tables
    assert (list(rows)[:2], len(rows)) == (["sft.v1_v1", "sft.v1_v2"], 10)
    assert len(paper.column("table1", "score_r")) == 5


def test_every_number_has_a_place():
    def walk(node, place):
        if not isinstance(node, dict):
            assert place, node
            return
        for name, child in node.items():
            if name not in ("place", "note", "approx"):
                walk(child, node.get("place", place))

    walk(yaml.safe_load(PAPER_FILE.read_text(encoding="utf-8")), None)


def test_unknown_words_and_unquoted_numbers_are_errors(tmp_path):
    with pytest.raises(InputError, match="no words"):
        load_paper().label("nothing")
    file = tmp_path / "paper.yaml"
    file.write_text("table1: {place: x, fad: 0.290}\n")
    with pytest.raises(InputError, match=r"quote table1.fad"):
        load_paper(file)
    file.write_text("table1: {place: x, fad: about three}\n")
    with pytest.raises(InputError, match="is not a printed number"):
        load_paper(file)
