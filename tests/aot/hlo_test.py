"""Exchanges and cycles are read from the text of compiled programs."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from usis_jax.aot import hlo

# Shortened from what a TPU's compiler writes: an exchange beside other work is repeated in each
# operation that it runs beside, here twice, and once in the one that starts it.
TPU = """HloModule jit_train_step, is_scheduled=true

%region_1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %add = f32[] add(%a, %b)
}

%fused_computation.1 (p: f32[1,2,4,128]) -> (f32[1,2,4,128], f32[8,2,4,128]) {
  %p = f32[1,2,4,128]{3,2,1,0:T(4,128)} parameter(0)
  %all-gather.9 = f32[8,2,4,128]{3,2,1,0:T(4,128)} all-gather(%p), channel_id=1, metadata={op_name="jit(step)/MinibatchStddev_0/all_gather"}
  ROOT %c = (f32[1,2,4,128], f32[8,2,4,128]) custom-call(%all-gather.9), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.2 (p: f32[1,2,4,128], q: f32[3,3]) -> (f32[3,3]) {
  %all-gather.11 = f32[8,2,4,128]{3,2,1,0:T(4,128)S(1)} all-gather(%p), channel_id=1
  ROOT %add.3 = f32[3,3]{1,0} add(%q, %q)
}

%async_collective_fusion.3 (p: f32[1,2,4,128], q: f32[3,3]) -> (f32[3,3]) {
  %all-gather.13 = f32[8,2,4,128]{3,2,1,0:T(4,128)S(1)} all-gather(%p), channel_id=1
  ROOT %add.4 = f32[3,3]{1,0} add(%q, %q)
}

%branch_0 (q: f32[7]) -> f32[7] {
  ROOT %copy.2 = f32[7]{0} copy(%q), backend_config={"estimated_cycles":"5"}
}

%branch_1 (q: f32[7]) -> f32[7] {
  %fusion.2 = f32[7]{0} fusion(%q), kind=kLoop, calls=%region_1, backend_config={"estimated_cycles":"600"}
  ROOT %copy.3 = f32[7]{0} copy(%fusion.2), backend_config={"estimated_cycles":"100"}
}

ENTRY %main.5 (p0: f32[7], p1: bf16[3,5]) -> (f32[7], bf16[3,5]) {
  %fusion.1 = f32[7]{0:T(128)} fusion(%p0), kind=kLoop, calls=%region_1, backend_config={"estimated_cycles":"1889"}
  %all-reduce.1 = (f32[7]{0:T(128)S(1)}, bf16[3,5]{1,0}, pred[]) all-reduce(%fusion.1, %p1), channel_id=2, to_apply=%region_1, metadata={op_name="jit(step)/psum"}
  %all-gather-start = (f32[4]{0}, f32[32]{0}) all-gather-start(%x), channel_id=3
  %all-gather-done = f32[32]{0} all-gather-done(%all-gather-start)
  %conditional.1 = (f32[7]{0:T(128)}, f32[]) conditional(%p, %t, %t), branch_computations={%branch_0, %branch_1}, metadata={op_name="jit(step)/cond"}
  ROOT %copy = f32[7]{0} copy(%fusion.1), backend_config={"estimated_cycles":"11"}
}
"""  # noqa: E501


def test_each_exchange_of_a_tpu_program_counts_once():
    found = hlo.collectives(TPU)
    assert [(x.kind, x.bytes) for x in found] == [
        ("all-gather", 4 * 8 * 2 * 4 * 128),
        ("all-reduce", 4 * 7 + 2 * 15 + 1),
        ("all-gather", 4 * 32),
    ]
    assert [x.name for x in found] == [
        "jit(step)/MinibatchStddev_0/all_gather",
        "jit(step)/psum",
        "",
    ]


def test_cycles_of_the_entry_and_of_the_longest_branch_are_summed():
    assert hlo.estimated_cycles(TPU) == (1900, 700)
    assert hlo.estimated_cycles("HloModule empty\n") == (0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f32[8,128]{1,0:T(8,128)}", 4096),
        ("(bf16[3], s32[])", 10),
        ("pred[5]", 5),
        ("f32[0,3]", 0),
        ("s8[2,2]", 4),
        ("c64[2]", 16),
        ("f8e4m3fn[6]", 6),
        ("token[]", 0),
    ],
)
def test_bytes_of_a_type(text, expected):
    assert hlo.shape_bytes(text) == expected


def test_exchanges_of_a_program_compiled_here():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("batch",))

    def step(x):
        return jax.lax.psum(x.sum(0), "batch"), jax.lax.all_gather(x[0], "batch")

    mapped = jax.jit(
        jax.shard_map(step, mesh=mesh, in_specs=P("batch"), out_specs=(P(), P()), check_vma=False)
    )
    text = mapped.lower(np.ones((8, 5), np.float32)).compile().as_text()
    assert sorted((x.kind, x.bytes) for x in hlo.collectives(text)) == [
        ("all-gather", 4 * 4 * 5),
        ("all-reduce", 4 * 5),
    ]
