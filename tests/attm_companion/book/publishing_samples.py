"""Pieces of a project in miniature: one page, one notebook, one result."""

import nbformat

TOC = """format: jb-book
root: book/index
chapters:
  - file: notebooks/demo
  - file: book/generated/departures
  - file: book/generated/provenance
  - file: book/generated/execution
"""
PAGE = (
    "# First page\n\nOurs is {num}`table:row.fad|.2f`, theirs {num}`table:row.fad@paper`; $x_0$.\n"
)
CODE = '"""Code."""\n\nrate = 2  # PAPER-SILENT: the rate is ours\n'
RESULT = {
    "experiment": "table",
    "profile": "smoke",
    "provenance": {"code_commit": "abc1234", "date": "2026-01-02", "packages": {"torch": "2"}},
    "values": {
        "row.fad": {"value": -0.4238, "unit": "", "n": 100, "seed": 42, "low": -0.5, "high": -0.3,
                    "paper": 0.25, "verdict": None},
    },
    "tables": {},
}  # fmt: skip
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
