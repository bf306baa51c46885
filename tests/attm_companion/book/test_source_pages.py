from attm_companion.book.source_pages import write_source_pages


def test_every_line_has_an_anchor(tmp_path):
    (tmp_path / "attm_core" / "deep").mkdir(parents=True)
    (tmp_path / "attm_core" / "deep" / "a.py").write_text("x = 1\ny = '<b>'\n")
    (tmp_path / "attm_core" / "b.yaml").write_text("a: 1\nb: 2\n")
    write_source_pages(tmp_path, tmp_path / "out")
    assert 'id="L-2"' in (tmp_path / "out" / "attm_core" / "b.yaml.html").read_text()
    html = (tmp_path / "out" / "attm_core" / "deep" / "a.py.html").read_text()
    assert 'id="L-1"' in html and 'id="L-2"' in html
    assert "&lt;b&gt;" in html
    assert '<html lang="en">' in html
