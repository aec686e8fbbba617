"""YAML of label specs: as YAML 1.2 reads words and numbers, with names kept as they are written.

YAML 1.1, which PyYAML reads, takes the class `no` for false, the id 010 for 8 and 12:30 for 750.
"""

import re

from usis_jax.errors import UserError

_DEEPEST = 20
_NAMES = ("name", "classes", "void", "flip_pairs")
_WORDS = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+)$"),
    "float": re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
}


def parse(text: str) -> object:
    """Value of a YAML text.

    Args:
      text: what a file holds.

    Returns:
      Dicts, lists, texts, numbers, True, False or None; names of classes are texts.

    Raises:
      UserError: it does not parse, is nested too deep, gives a key twice, or has references, in
        which a short text can stand for an endless one.
    """
    import yaml

    try:
        _check(text)
        reader = _loader()(text)
        try:
            return reader.get_single_data()
        finally:
            reader.dispose()
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        if "\\t" in said:
            said += "; YAML is indented with spaces, not with tabs"
        raise UserError(said) from None
    except RecursionError:
        raise UserError("it is nested too deep") from None


def _check(text):
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError("it has references (*name); write out what they stand for")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError


def _whole(text):
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text, base)


def _loader():
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads plain words as YAML 1.2 does."""

        yaml_implicit_resolvers: dict = {}  # noqa: RUF012  as PyYAML's own classes have it

        def construct_mapping(self, node, deep=False):
            """A mapping, in which no key comes twice and names stay texts."""
            seen = set()
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if name in seen:
                    raise UserError(
                        f"the key {name!r} comes twice, in line "
                        f"{key.start_mark.line + 1}; leave one out"
                    )
                seen.add(name)
                if name in _NAMES:
                    _keep_words(value, whole=name in ("void", "flip_pairs"))
            return super().construct_mapping(node, deep)

    def _keep_words(node, whole):
        """Makes the words in a node texts; numbers too, unless they are positions (`whole`)."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                _keep_words(item, whole)
        elif isinstance(node, yaml.ScalarNode):
            kinds = (":bool", ":float") if whole else (":bool", ":float", ":int")
            if node.tag.endswith(kinds):
                node.tag = "tag:yaml.org,2002:str"

    for kind, pattern in _WORDS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", pattern, None)
    # PyYAML's own reader of whole numbers takes a leading zero for octal.
    Loader.add_constructor(
        "tag:yaml.org,2002:int", lambda loader, node: _whole(loader.construct_scalar(node))
    )
    return Loader
