import pytest
from nbformat.v4 import new_output
from publishing_samples import pretend_executed

from attm_companion.book import PublishingError
from attm_companion.book.book import build_book

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
PICTURE = {"image/png": {"alt": "A single dot", "caption": "A dot"}}


@pytest.mark.slow
def test_a_book_is_built_checked_and_kept(project):
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
    index = build_book(project)
    page = (project.html / "book" / "index.html").read_text()
    assert "−0.42" in page
    assert "mathjax/tex-svg-full.js" in page
    assert 'alt="A single dot"' in (project.html / "notebooks" / "demo.html").read_text()
    assert (project.html / "notebooks" / "static" / "a.mp3").is_file()
    built = index.stat().st_mtime_ns
    assert build_book(project).stat().st_mtime_ns == built, "nothing changed, nothing to build"

    (project.prose / "index.md").write_text("# First\n\n{num}`table: nothing of row`\n")
    with pytest.raises(PublishingError, match="has no 'nothing of row'"):
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
