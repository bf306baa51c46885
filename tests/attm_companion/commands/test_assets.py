import hashlib

import pytest

from attm_companion import assets
from attm_companion.commands import assets_cli
from attm_companion.commands.cli import main
from attm_core.errors import AssetError

URL = "https://example.org/file"


def test_manifest_names_every_part_of_the_paper_and_pins_the_public_release():
    manifest = assets.load_manifest()
    wanted = {"released", "submission", "tunejury", "vae", "vocoder", "flan_t5", "mert", "demucs"}
    assert wanted <= set(manifest)
    assert all(asset.licence and asset.role for asset in manifest.values())
    assert all(asset.homepage.startswith("https://") for asset in manifest.values())
    assert manifest["mert"].gated
    released = manifest["released"]
    assert len([f for f in released.files if f.path.endswith(".wav")]) == 300
    assert released.is_verifiable
    assert len({file.path for file in released.files}) == len(released.files)
    for repository, commit in released.revisions.items():
        assert any(f"{repository}/{commit}/" in file.url for file in released.files)


def test_released_files_here_match_the_manifest(released_dir):
    states = assets.verify(assets.load_manifest()["released"], released_dir)
    tables = {path: state for path, state in states.items() if not path.endswith(".wav")}
    assert tables
    assert set(tables.values()) == {"verified"}


def test_a_listing_elsewhere_is_refused(tmp_path):
    facts = "role: r, licence: l, homepage: https://example.org"
    (tmp_path / "assets.yaml").write_text(f"thing: {{{facts}, listing: ../files.yaml}}")
    with pytest.raises(AssetError, match="would leave its folder"):
        assets.load_manifest(tmp_path / "assets.yaml")


def test_states_of_a_file(tmp_path):
    body, path = b"hello\n", tmp_path / "file"
    sha256 = hashlib.sha256(body).hexdigest()
    known = assets.AssetFile("file", URL, len(body), sha256)
    digests = [
        {"sha256": f"{sha256[:8]}*{sha256[-5:]}"},
        {"md5": "b1946ac92492d2347c6235b4d2611184"},
        {"git_blob": "ce013625030ba8dba906f756967f9e9ca394464a"},  # git hash-object
    ]
    files = [known, *(assets.AssetFile("file", URL, **digest) for digest in digests)]
    assert assets.file_state(known, path) == "absent"
    path.write_bytes(body)
    assert [assets.file_state(file, path) for file in files] == ["verified"] * 4
    assert assets.file_state(assets.AssetFile("file", URL, len(body)), path) == "unverified"
    path.write_bytes(b"hello!")
    assert [assets.file_state(file, path) for file in files] == ["wrong digest"] * 4
    path.write_bytes(b"short")
    assert assets.file_state(known, path) == "wrong size"


def test_verify_counts_and_fails_on_absent_files(tmp_path, capsys, monkeypatch):
    asset = assets.Asset("x", "r", "l", "https://example.org", (assets.AssetFile("f", URL, 1),))
    monkeypatch.setattr(assets_cli, "find_asset", lambda name: asset)
    words = ["assets", "verify", "x", "--to", str(tmp_path)]
    for content, said in ((None, "absent"), (b"12", "wrong size")):
        if content:
            (tmp_path / "f").write_bytes(content)
        assert main(words) == 1
        captured = capsys.readouterr()
        assert f"x/f: {said}" in captured.out
        assert captured.err.startswith(
            "attm: 1 file(s) are absent or wrong: run `attm assets fetch"
        )
    (tmp_path / "f").write_bytes(b"1")
    assert main(words) == 0
    assert "x/f: unverified" in capsys.readouterr().out
    assert main(["assets", "list"]) == 0
    text = capsys.readouterr().out
    assert all(words in text for words in ("CC BY-NC 4.0", "gated", "by hand"))
