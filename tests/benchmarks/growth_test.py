"""Costs of a step beside those of larger ones."""

import dataclasses
import json

import pytest

from benchmarks import growth, plans
from tests.support import tiny_step


@pytest.fixture
def tiny(monkeypatch):
    settings = tiny_step.combination("spade", "wavelet", "wavelet_upsample", "joint")
    data = dataclasses.replace(settings.data, height=16, width=16)  # a drawn scene's least size
    settings = dataclasses.replace(settings, data=data)
    plan = plans.plan(settings, tiny_step.CLASSES, tiny_step.VOID)
    monkeypatch.setattr(plans, "load", lambda name: (settings, plan))
    return settings


def test_variants_change_what_their_names_say(tiny):
    first, *others = growth.variants(tiny, 4)
    assert first == ("as it is", tiny, 4)

    def size(settings):
        return settings.data.height * settings.data.width

    for name, settings, classes in others:
        factor, what = name.split(" x ")
        factors = {
            "pixels": size(settings) / size(tiny),
            "classes": classes / 4,
            "batch": settings.batch_size / tiny.batch_size,
        }
        assert factors.pop(what) == int(factor)
        assert set(factors.values()) == {1}


def only(monkeypatch, *names):
    """Two of the variants: each takes seconds to trace."""
    variants = growth.variants
    monkeypatch.setattr(
        growth,
        "variants",
        lambda *given: [variant for variant in variants(*given) if variant[0] in names],
    )


def test_counts_operations_without_compiling(tiny, tmp_path, capsys, monkeypatch):
    only(monkeypatch, "as it is", "2 x batch")
    file = tmp_path / "growth.json"
    assert growth.main(["--rounds=0", f"--json={file}"]) == 0
    costs = json.loads(file.read_text())["costs"]
    assert 1.7 < costs["2 x batch"]["gflop"] / costs["as it is"]["gflop"] < 2.1
    assert "2 x batch" in capsys.readouterr().out


def test_measures_steps_in_turns(tiny, monkeypatch):
    only(monkeypatch, "as it is", "4 x classes")
    costs = growth.measure(tiny, tiny_step.CLASSES, tiny_step.VOID, 2)
    assert list(costs) == ["as it is", "4 x classes"]
    assert all(cost["seconds"] > 0 and cost["xla_temp_mib"] > 0 for cost in costs.values())
