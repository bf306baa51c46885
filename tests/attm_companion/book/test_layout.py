from attm_companion.book.layout import project_root, static_folder, tree_hash


def test_audio_goes_beside_the_executed_notebook(project, monkeypatch):
    assert project_root(project.root / "book") == project.root.resolve()  # found from below
    monkeypatch.setenv("ATTM_STATIC_DIR", "/somewhere/static")
    assert str(static_folder()) == "/somewhere/static"
    monkeypatch.delenv("ATTM_STATIC_DIR")
    monkeypatch.chdir(project.notebooks)
    assert static_folder() == project.notebooks.resolve() / "static"
    monkeypatch.chdir(project.root)
    assert static_folder() == project.root.resolve() / "_build/notebooks/by-hand/static"


def test_the_hash_of_a_tree_sees_names_and_contents_but_not_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    first = tree_hash(tmp_path, [a, b])
    assert tree_hash(tmp_path, [b, a]) == first
    a.write_text("2")
    b.write_text("1")
    assert tree_hash(tmp_path, [a, b]) != first
