import pytest

from attm_companion.book.html_gates import book_problems, is_external, page_problems

CLEAN = """<!DOCTYPE html><html lang="en"><head><link rel="stylesheet" href="_static/a.css">
<link rel="canonical" href="https://example.org/"></head><body><a href="https://example.org">out</a>
<a href="b.html#top">in</a><img src="a.png" alt="A rising line"><table><tr><td>x</td></tr></table>
<table class="attm-table"><caption>Values</caption></table>
<audio controls preload="none" aria-label="A tone" src="a%20b.mp3"></audio>%s</body></html>"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text("body { color: red; background: url(data:x) }")
    for name in ("b.html", "a.png", "a b.mp3"):
        (tmp_path / name).write_text('<html lang="en"><p id="top"></p></html>')
    return tmp_path


def problems(book, extra="", html=CLEAN):
    return page_problems(html.replace("%s", extra), book / "index.html", book)


def test_a_clean_page_passes(book):
    assert problems(book) == []
    number = '<span class="attm-number" tabindex="0">1</span>'
    assert problems(book, f"<p>{number} carries its origin.</p>") == [], "a promise that is kept"
    (problem,) = problems(book, html=CLEAN.replace(' lang="en"', ""))
    assert "language" in problem


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("<pre>Traceback (most recent call last):</pre>", "shows a failure"),
        ("<p>papermill-error-cell-tag</p>", "shows a failure"),
        ('<div class="output traceback highlight">', "shows a failure"),
        ('<script src="https://cdn.example.org/a.js"></script>', "loads https://cdn"),
        ('<link rel="preload stylesheet" href="http://x.org/a.css">', "loads http://x.org/a.css"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "loads https://fonts"),
        ('<img alt="A line" src="b.html" srcset="https://x.org/a.png 2x">', "loads https://x.org"),
        ("<p style=\"background: url('https://x.org/a.png')\">", "loads https://x.org/a.png"),
        ('<iframe src="https://x.org"></iframe>', "loads https://x.org"),
        ('<img src="a.png">', "picture without a text: a.png"),
        ('<img src="a.png" alt="_images/9f86d081884c7d659a2f.png">', "picture without a text"),
        ('<img src="no.png" alt="A line">', "points to no.png, which does not exist"),
        ('<a href="b.html#bottom">', "points to b.html#bottom, where no such place is"),
        ('<a href="#nowhere">', "points to #nowhere, where no such place is"),
        (f"<!-- {'heavy' * 600_000} -->", "weighs 3.0 MB"),
        ('<audio preload="none" src="a.png"></audio>', "without a label"),
        ('<audio preload="auto" aria-label="x" src="a.png"></audio>', "loads or plays by itself"),
        ('<audio preload="none" autoplay aria-label="x" src="a.png"></audio>', "plays by itself"),
        ('<table class="attm-table"><thead></thead></table>', "without a caption"),
        ("<p>A number of ours carries its origin.</p>", "promises numbers that show their origin"),
    ],
)
def test_a_poisoned_page_is_refused(book, extra, message):
    (problem,) = problems(book, extra)
    assert message in problem


def test_tables_of_notebooks_say_their_level(book):
    page = book / "notebooks" / "demo.html"
    bare = '<html lang="en"><table class="attm-table"><caption>%s</caption></table></html>'
    assert page_problems(bare % "x", page, book) == [
        "shows a table whose caption does not say its level"
    ]
    assert page_problems(bare % '<span class="attm-badge">Level A</span> x', page, book) == []


def test_style_sheets_are_read_too_and_listings_of_code_may_quote_a_failure(book):
    (book / "source").mkdir()
    (book / "source" / "x.html").write_text("Traceback (most recent call last)")
    assert book_problems(book) == []
    (book / "_static" / "a.css").write_text("@import 'https://fonts.example.org/x.css';")
    (problem,) = book_problems(book)
    assert problem == "_static/a.css loads https://fonts.example.org/x.css from elsewhere"
    assert all(map(is_external, ["https://x", "HTTP://x", "//x", " https://x", "wss://x"]))
    own = ["a/b", "/a", "#x", "data:image/png;base64,//8=", "mailto:a@b"]
    assert not any(map(is_external, own))
