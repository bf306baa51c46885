import pytest
from nbformat.v4 import new_output
from publishing_samples import pretend_executed

from attm_companion.book import PublishingError
from attm_companion.book.book import build_book
from attm_companion.commands.cli import main

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
PICTURE = {"image/png": {"alt": "A single dot", "caption": "A dot"}}


@pytest.mark.slow
def test_a_book_is_built_checked_and_kept(project, monkeypatch, capsys):
    sound = (
        '<figure><audio controls preload="none" aria-label="A" src="static/a.mp3"></audio></figure>'
    )
    outputs = [
        new_output("display_data", {"image/png": PIXEL}, metadata=PICTURE),
        new_output("display_data", {"text/html": sound}),
    ]
    (project.executed / "static").mkdir(parents=True)
    (project.executed / "static" / "a.mp3").write_bytes(b"x")
    pretend_executed(project, *outputs)
    monkeypatch.chdir(project.root)
    assert main(["book", "--profile", "smoke"]) == 0
    assert "_build/html/index.html" in capsys.readouterr().out
    index = project.html / "index.html"
    page = (project.html / "book" / "index.html").read_text()
    for part in (
        ">−0.42 [−0.50, −0.30]<", '<sup class="attm-level">A</sup>', 'role="tooltip" id="num-0"',
        'tabindex="0" aria-describedby="num-0"', "Ours falls:",
        'href="../source/results/smoke/table.csv.html#L-2"',
        "table: fad of row; profile smoke; n 100; generation seed 42;",
    ):  # fmt: skip
        assert part in page
    assert "mathjax/tex-svg-full.js" in page
    assert 'alt="A single dot"' in (project.html / "notebooks" / "demo.html").read_text()
    assert (project.html / "notebooks" / "static" / "a.mp3").is_file()
    built = index.stat().st_mtime_ns
    assert build_book(project).stat().st_mtime_ns == built, "nothing changed, nothing to build"

    (project.prose / "index.md").write_text(
        "{num}`table: nothing of row` {says}`table: fad of row|a`\n"
    )
    message = (
        "has no 'nothing of row'[\\s\\S]*says: .* needs a line with an interval and three phrases"
    )
    with pytest.raises(PublishingError, match=message):
        build_book(project)
    assert "−0.42" in (project.html / "book" / "index.html").read_text(), "the old book stays"


@pytest.mark.slow
def test_a_traceback_in_a_page_keeps_the_book_from_being_published(project):
    trace = "Traceback (most recent call last):\n  boom"
    html = f"<pre>{trace}</pre>"  # as HTML, it gets past the gate on stored outputs
    pretend_executed(project, new_output("display_data", {"text/html": html}))
    with pytest.raises(PublishingError, match=r"notebooks/demo.html shows a failure: Traceback"):
        build_book(project)
    assert not project.html.exists()
