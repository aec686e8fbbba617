"""Own data: files of photos and label maps that lie anywhere."""

import pytest

from usis_jax.data.preparation import own_folders
from usis_jax.data.specs import label_spec

SPEC = label_spec.LabelSpec("two", ("a", "b"))


def _folder(root, names, suffix=".png"):
    for name in names:
        path = root / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def _find(tmp_path, photos, labels, **options):
    SPEC.save(tmp_path / "label_spec.toml")
    return own_folders.find(
        "own", _folder(tmp_path / "p", photos, ".jpg"), _folder(tmp_path / "l", labels), **options
    )


def _names(own, kind, split):
    return set(own.files[kind][split])


def test_a_tenth_is_held_out_and_nothing_is_in_two_splits(tmp_path):
    photos, labels = [f"p{i}" for i in range(60)], [f"l{i}" for i in range(21)]
    own = _find(tmp_path, photos, labels)
    for kind, names, held_out in (("photos", photos, 6), ("labels", labels, 4)):
        train, validation = (_names(own, kind, split) for split in ("train", "validation"))
        assert len(validation) == held_out
        assert not train & validation and train | validation == set(names)
    assert (own.held_out, own.pairs) == (("photos", "labels"), 0)
    assert own_folders.find("own", tmp_path / "p", tmp_path / "l") == own


def test_at_most_200_are_held_out(tmp_path):
    own = _find(tmp_path, map(str, range(2500)), ["a", "b"])
    assert len(_names(own, "photos", "validation")) == 200
    assert len(_names(own, "labels", "validation")) == 1


def test_held_out_photos_and_label_maps_are_pairs_where_names_allow(tmp_path):
    own = _find(tmp_path, [f"x{i}" for i in range(200)], [f"x{i}" for i in range(180, 230)])
    photos, labels = (_names(own, kind, "validation") for kind in ("photos", "labels"))
    assert (len(photos), len(labels), own.pairs) == (20, 5, 5)
    assert labels < photos


def test_own_validation_split_is_kept_and_partners_of_it_are_held_out(tmp_path):
    labels = [*(f"train/{i}" for i in range(10)), "val/a", "val/b"]
    own = _find(tmp_path, [*map(str, range(20)), "a", "b"], labels)
    assert own.held_out == ("photos",)
    assert _names(own, "labels", "validation") == {"a", "b"}
    assert _names(own, "photos", "validation") > {"a", "b"}
    assert own.pairs == 2


def test_label_spec_beside_the_label_maps_or_around_them_is_found(tmp_path):
    own = _find(tmp_path, "ab", "ab")
    assert own.spec == SPEC
    inner = label_spec.LabelSpec("inner", ("x",))
    inner.save(tmp_path / "l" / "label_spec.json")
    assert own_folders.find("own", tmp_path / "p", tmp_path / "l").spec == inner
    assert own_folders.find("own", tmp_path / "p", tmp_path / "l", "camvid").spec.name == "camvid"


@pytest.mark.parametrize(
    ("photos", "labels", "name", "message"),
    [
        ("ab", "ab", "My-Data", "--name is 'My-Data'; it must be small letters"),
        ("ab", "ab", "scenes", "not be scenes"),
        (["val/a"], "ab", "own", "only the splits validation; put photos to train with into train"),
        ("a", "ab", "own", "1 file of photos only; at least 2 must be there"),
        (["train/a", "b"], "ab", "own", "b.jpg beside the split folder train"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, photos, labels, name, message):
    SPEC.save(tmp_path / "label_spec.toml")
    roots = _folder(tmp_path / "p", photos, ".jpg"), _folder(tmp_path / "l", labels)
    with pytest.raises(ValueError, match=message):
        own_folders.find(name, *roots)


def test_without_a_label_spec_the_message_says_how_to_get_one(tmp_path):
    roots = _folder(tmp_path / "p", "ab"), _folder(tmp_path / "l", "ab")
    with pytest.raises(FileNotFoundError, match=r"no label spec; run: usis inspect --labels=.*/l "):
        own_folders.find("own", *roots)
