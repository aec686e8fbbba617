"""What a compiled program does, read from the text of its optimised HLO."""

import math
import re
from typing import NamedTuple

_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
_COLLECTIVE = re.compile(rf" = (.+?) ({_KINDS})(-start)?\(")
_SHAPE = re.compile(r"([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\]")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) .*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"([0-9]+)"')
_BRANCHES = re.compile(r" conditional\(.*?(branch_computations=\{[^}]*\})")
_METADATA = re.compile(r'op_name="([^"]*)"')


class Collective(NamedTuple):
    """One exchange between devices.

    Attributes:
      kind: such as "all-reduce".
      bytes: size of its result on a device.
      name: what of the program it came from, or "".
    """

    kind: str
    bytes: int
    name: str


def shape_bytes(text: str) -> int:
    """Bytes of a type of HLO, such as "f32[8,128]{1,0}" or "(bf16[3], s32[])".

    Args:
      text: the type; tuples count as the sum of their parts.

    Returns:
      Bytes, without the padding of a device's layout.
    """
    total = 0
    for kind, sizes in _SHAPE.findall(text):
        bits = 8 if kind == "pred" else int((re.search(r"[0-9]+", kind) or [0])[0])
        total += math.prod(int(size) for size in sizes.split(",") if size) * -(-bits // 8)
    return total


def collectives(text: str) -> list[Collective]:
    """The exchanges between devices of a program, each once.

    A TPU's compiler repeats an exchange in every operation that runs beside it; only the one that
    starts it counts.

    Args:
      text: optimised HLO, as of `compiled.as_text()`.

    Returns:
      Collectives in their order in the text.
    """
    found = []
    for lines in _computations(text):
        beside = "async_collective" in lines[0] or "fused_computation" in lines[0]
        starts = any('"AsyncCollectiveStart"' in line for line in lines)
        if beside and not starts:
            continue
        for line in lines[1:]:
            match = _COLLECTIVE.search(line)
            if match is None:
                continue
            result = match.group(1)
            if match.group(3) and result.startswith("("):
                result = _second_half(result)
            name = _METADATA.search(line)
            found.append(
                Collective(match.group(2), shape_bytes(result), name.group(1) if name else "")
            )
    return found


def estimated_cycles(text: str) -> tuple[int, int]:
    """Cycles that the compiler estimated for a program's operations, summed.

    Args:
      text: optimised HLO.

    Returns:
      (cycles of the entry computation, those of the longest branch of each of its conditionals), 0
      where the compiler writes none (it does for TPUs). Exchanges between devices, copies that run
      beside other work and what waits for memory are not in it.
    """
    cycles, branches = {}, []
    for lines in _computations(text):
        entry, name = _COMPUTATION.match(lines[0]).groups()
        name = "ENTRY" if entry else name
        cycles[name] = sum(int(found) for line in lines for found in _CYCLES.findall(line))
        if entry:
            branches = [
                re.findall(r"[\w.\-]+", found.partition("=")[2])
                for line in lines
                for found in _BRANCHES.findall(line)
            ]
    longest = (max(cycles.get(name, 0) for name in names) for names in branches)
    return cycles.get("ENTRY", 0), sum(longest)


def _computations(text):
    """Lists of lines, each a computation from its heading on."""
    lines: list[str] = []
    for line in text.splitlines():
        if line[:1] not in ("", " ", "}") and _COMPUTATION.match(line):
            lines = [line]
        elif line.startswith("}") and lines:
            yield lines
            lines = []
        elif lines:
            lines.append(line)


def _second_half(result):
    """Results of an asynchronous start, whose type is (operands, results) or ((..), (..))."""
    parts = _SHAPE.findall(result)
    half = parts[len(parts) // 2 :]
    return ", ".join(f"{kind}[{sizes}]" for kind, sizes in half)
