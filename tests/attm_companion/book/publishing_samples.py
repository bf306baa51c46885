"""Pieces of a project in miniature: one page, one notebook, one result."""

from dataclasses import asdict

import nbformat

from attm_companion.study.result_files import write_table
from attm_companion.study.results import COLUMNS, Result
from attm_core.files import write_json

TOC = """format: jb-book
root: book/index
chapters:
  - file: notebooks/demo
  - file: book/generated/departures
  - file: book/generated/provenance
  - file: book/generated/execution
"""
PAGE = (
    "# First page\n\nOurs {says}`table: fad of row | rises | falls | stays`: "
    "{num}`table: fad of row | .2f`, theirs is {num}`table: fad of row @ paper`; $x_0$.\n"
)
CODE = '"""Code <b>."""\n\nrate = 2  # PAPER-SILENT: the rate is ours\n'


def write_results(folder, experiment="table", profile="smoke"):
    """A table of one experiment with its provenance in ``folder``; returns the folder."""
    origin = {"code_commit": "abc1234", "date": "2026-01-02", "packages": {"torch": "2"}}
    result = Result(experiment, profile, provenance=origin)
    facts = {"n": 100, "generation_seed": 42, "over": "prompts", "paper": 0.25}
    result.add("row", "fad", -0.4238, "", low=-0.5, high=-0.3, verdict="lower", **facts)
    result.add("other", "fad", 1.0, "")
    result.add("up", "fad", 1.0, "", low=0.5, high=1.5)
    result.add("flat", "fad", 0.1, "", low=-0.5, high=0.5)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"experiment": experiment, **asdict(line)} for line in result.values]
    write_table(folder / f"{experiment}.csv", COLUMNS, lines)
    write_json(folder / f"{experiment}.json", origin)
    return folder


KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def code_cell(source, tags=(), outputs=()):
    """A code cell whose id depends on nothing but its source."""
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}, outputs=list(outputs))
    cell["id"] = f"c{sum(source.encode()) % 10**6}"
    return cell


def make_notebook(*cells, parameters='profile = "mini"\nseed = 42\nrate = 0.5'):
    """A notebook with a title, a parameters cell, and ``cells``."""
    title = nbformat.v4.new_markdown_cell("# A notebook", id="title")
    first = [code_cell(parameters, ["parameters"])] if parameters is not None else []
    return nbformat.v4.new_notebook(cells=[title, *first, *cells], metadata=KERNEL)


def pretend_executed(layout, *outputs, name="demo.ipynb"):
    """Put an executed copy in place without running it."""
    notebook = make_notebook(code_cell("shown", outputs=outputs))
    notebook.metadata["papermill"] = {
        "duration": 1.5, "exception": None, "start_time": "2026-01-02T03:04:05.678",
        "parameters": {"profile": "smoke"},
    }  # fmt: skip
    layout.executed.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, layout.executed / name)
    return notebook
