"""The notebook runs from a clone, with few steps and small networks."""

import os
import re

import pytest

from tests.support import places

ROOT = places.REPOSITORY
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
SMALL = """STEPS, SCENES = 2, 4
CHANGES = [("data.num_validation", "2"), ("batch_size", "2"), ("r1_interval", "0"),
           ("data.height", "16"), ("data.width", "16"), ("generator.width", "2"),
           ("generator.multipliers", "1,1"), ("generator.spade_width", "2"),
           ("generator.z_dim", "2"), ("segmenter.down", "2"), ("segmenter.up", "2"),
           ("discriminator.channel_base", "16"), ("discriminator.channel_max", "4"),
           ("discriminator.dense", "4"), ("discriminator.stddev_group", "2"),
           ("decoder.name", "none"), ("evaluation.measures", "swd"), ("log_interval", "1")]"""


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture
def kernel_environment(tmp_path, monkeypatch):
    """An environment of the kernel's own: one device, nothing of the tests' settings or of a home.

    Several faked devices wait for each other, and XLA ends a process in which one waits for 40
    seconds, which a busy machine can bring about; one device has nobody to wait for.
    """
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)  # the sockets' names are relative: long paths do not fit
    foreign = ("JAX_", "XLA_", "USIS_", "PYTEST_", "COV_", "TFDS_", "JUPYTER_PATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    places = {
        name: str(tmp_path / name.lower())
        for name in ("TMPDIR", "USIS_CACHE", "TFDS_DATA_DIR", "MPLCONFIGDIR")
    }
    (tmp_path / "tmpdir").mkdir()
    return (
        inherited
        | places
        | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            # As the other tests, unoptimised.
            "XLA_FLAGS": "--xla_backend_optimization_level=0 "
            "--xla_llvm_disable_expensive_passes=true",
        }
    )


@pytest.mark.slow
def test_notebook_runs_from_a_clone(notebook, tmp_path, kernel_environment):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    from traitlets.config import Config

    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source.startswith("STEPS = ")
    first.source = SMALL
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with open(tmp_path / "kernel.log", "wb") as log:
        # Sockets that are files: ports chosen for the kernel can be taken before it listens.
        client = nbclient.NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            config=Config({"KernelManager": {"transport": "ipc"}}),
            resources={"metadata": {"path": str(tmp_path)}},
        )
        try:
            client.execute(env=kernel_environment, stdout=log, stderr=log)
        except nbclient.exceptions.DeadKernelError:
            pytest.fail("the kernel died:\n" + (tmp_path / "kernel.log").read_text()[-3000:])
    kinds = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert kinds.count("image/png") >= 6


def test_notebook_is_stored_with_pictures_and_without_places_of_a_machine(notebook):
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count('"image/png"') >= 6 and len(text) < 1_000_000
    assert not re.search(r"/(home|root|tmp|work)/", text)
    assert not any(
        output.output_type == "error"
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
