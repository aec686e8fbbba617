"""Docstrings as the documentation's reader of them wants them; an extension named in mkdocs.yml."""

import re

import griffe

HEADING = re.compile(r"(?<=[^\n])\n(?=(?:Args|Returns|Yields|Raises|Source):)")
VALUE = re.compile(r"^(Returns|Yields):\n((?: +.*\n?)+)", re.M)


class Sections(griffe.Extension):
    """Sections get the blank line before them without which they are read as text.

    What is returned is a text here, not a list of types and names, and is made a paragraph.
    """

    def on_object(self, *, obj, **kwargs):
        """Changes the docstring of what was just read."""
        if obj.docstring:
            text = HEADING.sub("\n\n", obj.docstring.value)
            obj.docstring.value = VALUE.sub(
                lambda found: f"**{found[1]}:** {' '.join(found[2].split())}\n\n", text
            )
