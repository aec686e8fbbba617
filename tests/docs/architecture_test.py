"""The page on the architecture: its picture is what the contract says, its walks do not go back."""

import re
import runpy

import pytest

from tests.support import places

ROOT = places.REPOSITORY
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DRAWN = runpy.run_path(str(ROOT / "docs/rooms.py"))
WALKS = re.split(r"^## ", PAGE, flags=re.M)[-2:]


def test_picture_is_drawn_from_the_contract():
    assert (ROOT / "docs/rooms.svg").read_text(encoding="utf-8") == DRAWN["svg"]()


def test_picture_and_table_have_every_package():
    packages = {path.parent.name for path in (ROOT / "usis_jax").glob("*/__init__.py")}
    assert {room for floor in DRAWN["floors"]() for room in floor} == packages
    table = PAGE.split("## The packages")[1].split("\n## ")[0]
    assert packages <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.splitlines()[0])
def test_walk_names_no_file_twice(walk):
    named = re.findall(r"`(usis_jax/[\w/]+\.py)`", walk)
    assert len(named) > 10 and len(named) == len(set(named))
