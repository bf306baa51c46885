import argparse
import hashlib
from pathlib import Path

import pytest

from attm_companion.assets import (
    Asset,
    AssetFile,
    file_state,
    find_asset,
    load_manifest,
    verify,
)
from attm_companion.commands import assets_cli
from attm_core.errors import AssetError

URL = "https://example.org/file"


def test_manifest_names_every_part_of_the_paper():
    manifest = load_manifest()
    wanted = {"released", "submission", "tunejury", "vae", "vocoder", "flan_t5", "mert", "demucs"}
    assert wanted <= set(manifest)
    assert all(asset.licence and asset.role for asset in manifest.values())
    assert all(asset.homepage.startswith("https://") for asset in manifest.values())
    assert manifest["mert"].gated


def test_public_release_is_fully_pinned():
    released = load_manifest()["released"]
    assert len([f for f in released.files if f.path.endswith(".wav")]) == 300
    assert released.is_verifiable
    assert len({file.path for file in released.files}) == len(released.files)
    for repository, commit in released.revisions.items():
        assert any(f"{repository}/{commit}/" in file.url for file in released.files)


def test_released_files_here_match_the_manifest(released_dir: Path):
    states = verify(load_manifest()["released"], released_dir)
    tables = {path: state for path, state in states.items() if not path.endswith(".wav")}
    assert tables
    assert set(tables.values()) == {"verified"}


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "~/x", "", "a\\b", "C:x", "a/\0"])
def test_paths_that_would_leave_the_folder_are_refused(path: str):
    with pytest.raises(AssetError, match="would leave its folder"):
        AssetFile(path, URL)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://a/b", "file:///etc/x", "https://"])
def test_addresses_that_are_not_https_are_refused(url: str):
    with pytest.raises(AssetError, match="is not an https address"):
        AssetFile("x", url)


@pytest.mark.parametrize("digest", ["abc", "z" * 64, "A" * 64])
def test_malformed_digests_are_refused(digest: str):
    with pytest.raises(AssetError, match="is not a sha256 digest"):
        AssetFile("x", URL, sha256=digest)


def test_unsafe_or_malformed_manifests_are_refused(tmp_path: Path):
    manifest = tmp_path / "assets.yaml"
    head = "thing:\n  role: r\n  licence: l\n  homepage: https://example.org\n"
    manifest.write_text(f"{head}  files: [{{path: ../up, url: {URL}}}]\n")
    with pytest.raises(AssetError, match="would leave its folder"):
        load_manifest(manifest)
    manifest.write_text(f"{head}  listing: ../files.yaml\n")
    with pytest.raises(AssetError, match="would leave its folder"):
        load_manifest(manifest)
    manifest.write_text(head.replace("thing", "../thing"))
    with pytest.raises(AssetError, match="would leave its folder"):
        load_manifest(manifest)
    manifest.write_text(f"{head}  licens: typo\n")
    with pytest.raises(AssetError, match="malformed"):
        load_manifest(manifest)
    with pytest.raises(AssetError, match="malformed"):
        load_manifest(tmp_path / "absent.yaml")


def test_states_of_a_file(tmp_path: Path):
    body = b"some bytes"
    digest = hashlib.sha256(body).hexdigest()
    path = tmp_path / "file"
    known = AssetFile("file", URL, len(body), digest)
    assert file_state(known, path) == "absent"
    path.write_bytes(body)
    assert file_state(known, path) == "verified"
    abbreviated = AssetFile("file", URL, sha256=f"{digest[:8]}*{digest[-5:]}")
    assert file_state(abbreviated, path) == "verified"
    assert file_state(AssetFile("file", URL, len(body)), path) == "unverified"
    path.write_bytes(b"other byte")
    assert file_state(known, path) == "wrong digest"
    assert file_state(abbreviated, path) == "wrong digest"
    path.write_bytes(b"short")
    assert file_state(known, path) == "wrong size"


def test_md5_is_used_where_nothing_better_is_published(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digest = hashlib.md5(b"x", usedforsecurity=False).hexdigest()
    assert file_state(AssetFile("file", URL, md5=digest), path) == "verified"


def test_git_names_a_file_by_its_content(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    known = AssetFile("file", URL, git_blob="ce013625030ba8dba906f756967f9e9ca394464a")
    assert file_state(known, path) == "verified"
    path.write_bytes(b"hello!\n")
    assert file_state(known, path) == "wrong digest"


def test_an_unknown_asset_is_answered_with_those_there_are():
    with pytest.raises(AssetError, match="no asset 'vea'; there are: released"):
        find_asset("vea")


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    assets_cli.add_parsers(parser.add_subparsers())
    args = parser.parse_args(["assets", *arguments])
    return int(args.run(args))


def test_list_prints_licences_and_gates(capsys: pytest.CaptureFixture):
    assert run("list") == 0
    text = capsys.readouterr().out
    assert "CC BY-NC 4.0" in text
    assert "gated" in text
    assert "by hand" in text


def test_verify_counts_and_fails_on_absent_files(tmp_path: Path, capsys, monkeypatch):
    asset = Asset("x", "r", "l", "https://example.org", (AssetFile("f", URL, 1),))
    monkeypatch.setattr(assets_cli, "find_asset", lambda name: asset)
    with pytest.raises(AssetError, match="1 file"):
        run("verify", "x", "--to", str(tmp_path))
    (tmp_path / "f").write_bytes(b"1")
    assert run("verify", "x", "--to", str(tmp_path)) == 0
    assert "x/f: unverified" in capsys.readouterr().out
