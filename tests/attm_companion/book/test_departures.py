from attm_companion.book.departures import Departure, collect, in_source, page
from attm_companion.book.layout import modules
from attm_companion.study.result_files import ROOT

SOURCE = '''"""A module that mentions # PAPER-SILENT: in words."""

# PAPER-DEVIATION: the paper multiplies,
# we add.
x = 1  # PAPER-SILENT: the first value,
#        and how it goes on
text = "# PAPER-SILENT: not a comment"
# PAPER-SILENT: alone
# PAPER-SILENT: next
'''


def test_reasons_run_on_and_strings_do_not_count():
    assert in_source(SOURCE, "a.py") == [
        Departure("PAPER-DEVIATION", "a.py", 3, "the paper multiplies, we add."),
        Departure("PAPER-SILENT", "a.py", 5, "the first value,"),
        Departure("PAPER-SILENT", "a.py", 8, "alone"),
        Departure("PAPER-SILENT", "a.py", 9, "next"),
    ]

    trailing = "x = 1  # PAPER-SILENT: one\n       # two\n"
    assert in_source(trailing, "a.py") == [Departure("PAPER-SILENT", "a.py", 1, "one two")]


def test_the_page_escapes_and_counts():
    text = page([Departure("PAPER-SILENT", "attm_core/a.py", 3, "a < b in `x.y`")])
    assert "a &lt; b in <code>x.y</code>" in text
    assert "## Where the code departs from the text\n\nNone." in text
    assert "<caption>1 places tagged PAPER-SILENT</caption>" in text


def test_the_page_lists_every_tag_of_the_project():
    tags = ("# PAPER-SILENT:", "# PAPER-DEVIATION:", "# MINI-WORLD:")
    lines = [line for path in modules(ROOT) for line in path.read_text().splitlines()]
    found = collect(ROOT)
    assert len(found) >= sum(line.lstrip().startswith(tags) for line in lines)
    text = page(found)
    for item in found:
        assert f"source/{item.file}.html#L-{item.line}" in text
    assert text.count("#L-") == len(found)
