"""The files that describe an evaluator in its folder: read, and checked against each other."""

import json
from pathlib import Path

from usis_jax.data.specs import spec_mapping
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError

FORMAT_VERSION = 1
INFO_FILE, WEIGHTS_FILE = "evaluator.json", "evaluator.safetensors"
SPEC_FILE, PICTURE_FILE = "label_spec.json", "evaluator.png"


def read_info(path: Path) -> dict:
    """The content of `evaluator.json`; ValueError where it is damaged or of another version."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        version = info.get("format_version")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise UserError(f"{path} has format {version}, this version reads {FORMAT_VERSION}")
    missing = [key for key in ("height", "width", "widths", "scores", "sha256") if key not in info]
    if missing:
        raise UserError(f"{path} is damaged: it has no {', '.join(missing)}")
    return info


def check_spec(info: dict, spec: LabelSpec, directory: Path) -> None:
    """Checks that the label spec in a folder is that which the evaluator was trained with.

    Args:
      info: of `read_info`; of older versions it does not say.
      spec: LabelSpec of the folder's SPEC_FILE.
      directory: the folder.

    Raises:
      UserError: it is another one; names the classes and their positions.
    """
    if "label_spec" not in info:
        return
    trained = LabelSpec.from_dict(info["label_spec"], directory / INFO_FILE)
    if what := spec_mapping.differences(trained, spec, INFO_FILE, SPEC_FILE):
        raise UserError(
            f"{directory / SPEC_FILE} was changed since the evaluator was trained: "
            f"{'; '.join(what)}; put the former one back"
        )
