"""Lists of classes of other programs, which are no label specs: named, with what to do."""

import pathlib

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
_DRAFT = "usis inspect --labels=DIR drafts a label spec from the label maps"
_FILES = {
    "labelmap.txt": "CVAT's list of classes and colours",
    "label_names.txt": "labelme's list of classes",
    "class_names.txt": "labelme's list of classes",
    "labels.txt": "a list of class names",
    "classes.txt": "a list of class names",
    "obj.names": "YOLO's list of classes",
}
_KEYS = {
    "categories": "COCO's annotations (`categories`)",
    "METAINFO": "MMSegmentation's METAINFO",
    "CLASSES": "MMSegmentation's CLASSES",
    "palette": "MMSegmentation's classes and palette",
    "PALETTE": "MMSegmentation's classes and palette",
    "nc": "YOLO's data file (`nc` and `names`)",
    "names": "YOLO's data file (`names`)",
    "shapes": "labelme's annotation of one picture",
    "labels": "a list of `labels` of another program",
    "id2label": "Hugging Face's config (`id2label`)",
}


def of_name(path: pathlib.Path) -> str:
    """What to say of a file whose name is none of a label spec's."""
    known = _FILES.get(path.name.lower())
    is_what = (
        f"is {known}, no label spec"
        if known
        else (f"ends in {path.suffix!r}" if path.suffix else "has no suffix")
    )
    return (
        f"label spec {path} {is_what}; its name must end in .toml, .yaml, .yml or .json and it "
        f"must hold `name` and `classes`, each with `name`, `ids` and `colour` ({_DRAFT})"
    )


def of_keys(content: dict) -> str:
    """What a dict with keys that no label spec has is, "" where it is not known."""
    found = next((what for key, what in _KEYS.items() if key in content), "")
    return found and (
        f"; it is {found}, no label spec: write its classes as a list `classes` of `name`, `ids` "
        f"and `colour` ({_DRAFT})"
    )
