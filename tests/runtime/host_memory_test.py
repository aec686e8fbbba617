import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from usis_jax.runtime import host_memory


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_free_memory_between_what_is_used_goes_back():
    blocks = [np.ones(8_192, np.uint8) for _ in range(20_000)]  # 156 MiB in the heap
    kept = blocks[::500]
    full = resident_mib()
    del blocks
    host_memory.give_back()
    assert resident_mib() < full - 100 and all(block.all() for block in kept)


def test_nothing_is_collected_while_tracing_and_again_afterwards():
    assert gc.isenabled()
    with pytest.raises(KeyError), host_memory.collected_later():
        assert not gc.isenabled()
        with host_memory.collected_later():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
