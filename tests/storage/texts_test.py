"""Text files as other programs write them: marks, encodings, line ends, names given twice."""

import pytest

from usis_jax.config import loading, settings
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.data.specs.lookup import find
from usis_jax.errors import UserError
from usis_jax.storage import texts
from usis_jax.workdir import layout

YAML = "name: s\nvoid: no\nclasses:\n  - {name: no, ids: [0]}\n  - {name: bé, ids: [1]}\n"
TOML = 'name = "s"\nvoid = "no"\nclasses = [{name = "no", ids = [0]}, {name = "bé", ids = [1]}]\n'
JSON = ('{"name": "s", "void": "no",\n "classes": [{"name": "no", "ids": [0]},\n'
        ' {"name": "bé", "ids": [1]}]}\n')  # fmt: skip
WAYS = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "windows": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["s.toml", "s.yaml", "s.json", "S.TOML", "S.YML"])
def test_label_spec_is_read_whatever_its_mark_and_line_ends(tmp_path, name, way):
    text = {"toml": TOML, "json": JSON}.get(name.lower().partition(".")[2], YAML)
    (tmp_path / name).write_bytes(WAYS[way](text))
    spec = LabelSpec.load(tmp_path / name)
    assert (spec.name, spec.classes, spec.void) == ("s", ("no", "bé"), 0)


@pytest.mark.parametrize("way", WAYS)
def test_settings_of_a_run_are_read_whatever_their_mark(tmp_path, way):
    run = settings.load({"steps": 7})
    (tmp_path / "config.json").write_bytes(WAYS[way](settings.to_json(run)))
    assert layout.load_settings(tmp_path) == run


@pytest.mark.parametrize("way", ["plain", "mark", "windows", "old mac"])
def test_configuration_is_read_whatever_its_mark(tmp_path, way):
    text = "from configs import small\ndef get_config():\n    config = small.get_config()\n"
    file = tmp_path / "mine.py"
    file.write_bytes(WAYS[way](text + "    config.steps = 3\n    return config\n"))
    assert loading.load_config(str(file)).steps == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", 'name = "é"'.encode("latin-1"), "is no text in UTF-8"),
        ("a.toml", TOML.encode("utf-16-le"), "zero bytes"),
        ("a.yaml", b"classes:\n\t- a\n", "with spaces, not with tabs"),
        ("a.yaml", b"name: a\nname: b\nclasses: [a]\n", "'name' comes twice, in line 2"),
        ("a.json", b'{"name": "a", "name": "b", "classes": ["a"]}', "'name' comes twice"),
        ("a.yaml", b"classes: [{name: a, ids: [12:30]}]", "`ids` is '12:30'"),
        ("a.json", b'{"classes": [{"name": true}]}', "must be a text in quotation marks"),
        ("a.toml", b'classes = [""]', "is empty"),
        ("a.json", b'{"categories": [{"id": 1, "name": "a"}]}', "COCO's annotations"),
        ("a.json", b'{"classes": ["a"], "palette": [[1, 2, 3]]}', "MMSegmentation's"),
        ("a.yaml", b"nc: 1\nnames: [a]\n", "YOLO's data file"),
        ("labelmap.txt", b"# label:color_rgb:parts:actions\nroad:1,2,3::\n", "CVAT's list"),
        ("class_names.txt", b"__ignore__\n_background_\n", "labelme's list"),
        ("classes.txt", b"road\n", "a list of class names"),
    ],
)
def test_what_is_no_label_spec_is_named_in_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        find(str(tmp_path / name))
    assert words in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_words_of_yaml_stay_names_and_its_numbers_are_decimal(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "classes:\n- {name: no, ids: [010]}\n- {name: 12:30, ids: [0x10]}\n- {name: 0123, ids: [3]}"
        "\n- {name: 2020-01-01, ids: [4]}\n- {name: true, ids: [5]}\nvoid: 1\n"
        "flip_pairs: [[no, 0123]]\n".replace("[no, 0123]", "[no, '0123']")
    )
    spec = LabelSpec.load(tmp_path / "a.yaml")
    assert spec.classes == ("no", "12:30", "0123", "2020-01-01", "true")
    assert spec.file_ids == ((10, 0), (16, 1), (3, 2), (4, 3), (5, 4))
    assert (spec.void, spec.flip_pairs) == (1, ((0, 2),))


def test_json_that_is_too_deep_is_one_line(tmp_path):
    (tmp_path / "a.json").write_text("[" * 10**5)
    with pytest.raises(UserError, match="nested too deep"):
        texts.read_json(tmp_path / "a.json")
