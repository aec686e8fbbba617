"""Kinds of files that are no readable image, told by their first bytes: what they are, what to do.

Images come from phones, cameras and drawing programs in formats that PIL does not decode, or whose
small preview it takes for the image. Each is named, and so is a way out of it.
"""

import pathlib

HEAD = 512
"""Bytes of a file's start that `name` looks at."""

RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf",
                ".rw2", ".orf", ".pef", ".srw", ".x3f", ".3fr", ".iiq")  # fmt: skip
SUFFIXES = (".heic", ".heif", ".hif", ".jxl", ".psd", ".psb", ".svg", ".svgz", ".xcf", ".exr",
            ".hdr", ".tga", ".dds", *RAW_SUFFIXES)  # fmt: skip
"""Endings of pictures that cannot be read; they are listed with the others, and then refused."""

AVIF = "an AVIF file"
_RAW = "a raw file of a camera"
_TIFF = "a TIFF that is damaged or has pixels of an unusual kind, such as numbers of 64 bits"
_STARTS = (
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"gimp xcf", "a file of GIMP (XCF)"),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"FOVb", _RAW),
    (b"IIU\0", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"v/1\x01", "an OpenEXR file"),
    (b"#?RADIANCE", "a Radiance HDR file"),
    (b"#?RGBE", "a Radiance HDR file"),
    (b"DDS ", "a DDS texture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB", "a MATLAB file"),
    (b"PK\x03\x04", "a zip file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"II*\0", _TIFF),
    (b"MM\0*", _TIFF),
    (b"version https://git-lfs", "a Git LFS pointer, not the image itself"),
)
_BRANDS = {
    AVIF: (b"avif", b"avis"),
    "a HEIC file, as iPhones save photos": (
        b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"),
    _RAW: (b"crx ",),
}  # fmt: skip


def name(head: bytes) -> str | None:
    """What a file is, in words such as "a Photoshop file (PSD)".

    Args:
      head: its first HEAD bytes.

    Returns:
      None where that cannot be told.
    """
    for start, words in _STARTS:
        if head.startswith(start):
            return words
    if head[4:8] == b"ftyp":
        return next((words for words, brands in _BRANDS.items() if head[8:12] in brands), "a video")
    if head[128:132] == b"DICM":
        return "a DICOM file"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        return "an SVG drawing" if b"<svg" in text or b"doctype svg" in text else "an XML file"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, as a failed download leaves it"
    if text.startswith((b"{", b"[")):
        return "a JSON file"
    return None


def is_raw(path) -> bool:
    """Whether a file's name is that of a camera's raw file, of which PIL would read a preview."""
    return pathlib.PurePath(str(path)).suffix.lower() in RAW_SUFFIXES


def advice(words: str, what: str) -> str:
    """What to do about a file that is `words`.

    Args:
      words: of `name`.
      what: what it should be: "photo", "label map" or another word.
    """
    if "Git LFS" in words:
        return "run git lfs pull where the files come from"
    if "download" in words:
        return "download it again"
    wanted = "PNG" if what == "label map" else "JPEG or PNG"
    if words == _RAW:
        return f"develop it and export it as {wanted}"
    if words.startswith(("a HEIC", "an AVIF", "a Photoshop", "a JPEG XL")):
        ending = ".png" if what == "label map" else ".jpg"
        return f"convert it to {wanted}, for example with ImageMagick: magick FILE FILE{ending}"
    return f"save it as {wanted}"
