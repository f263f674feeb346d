"""Data sets and user images as uint8 arrays: CIFAR-10 records, idx folders, class folders, .npz files, digits."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.spec.network import PHOTOGRAPH

if TYPE_CHECKING:
    from PIL.Image import Image

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

CIFAR_RECORD = 1 + 3 * 32 * 32
HELD_OUT = 450
SPLIT_SEED = 20211
RESIZE = 256 / 224
"""Size of a photograph before it is cropped, over the input's: the usual measure of ImageNet."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
KINDS = (
    "a CIFAR-10 .bin file, a folder of idx files, a folder <class>/<image>, an .npz file with images and labels, "
    "or the name digits"
)


@dataclass(frozen=True, eq=False)
class Data:
    """Labelled images: ``images`` (N, H, W, C) uint8, ``labels`` (N,) int64, ``name`` for reports."""

    images: Images
    labels: Labels
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Data:
        """The first ``count`` images (all, if there are fewer)."""
        return Data(self.images[:count], self.labels[:count], self.name)


def load(spec: str | Path, shape: tuple[int, int, int] | None = None, count: int | None = None) -> Data:
    """Load a data set by path or name: the first ``count`` images, or all.

    ``shape``: (H, W, C) of a network's input; photographs in a class folder are made to fit it, as `load_images` does.

    ``digits`` is the held-out part of scikit-learn's handwritten digits (450 images, fixed split), ``digits:train``
    the other 1347. An idx folder gives its test set (``t10k-*``) where it has one; one idx images file can be named
    directly. Classes of a class folder are numbered in the order of their names (as numbers, if all are numbers).

    Raises BnnhwError: nothing there, or not one of the known kinds; FileFormatError: damaged or inconsistent.
    """
    found = _load(spec, shape, count)
    return found if count is None else found.first(count)


def _load(spec: str | Path, shape: tuple[int, int, int] | None, count: int | None) -> Data:
    if str(spec) in ("digits", "digits:train"):
        return _digits(train=str(spec) == "digits:train")
    path = Path(spec)
    if not path.exists():
        raise BnnhwError(f"data must be {KINDS}, not {str(spec)!r}: there is no such file or folder")
    if path.is_dir():
        pictures = _idx_images(path)
        return _idx(pictures, str(spec)) if pictures else _class_folder(path, str(spec), shape, count)
    if path.suffix == ".bin":
        return _cifar(path, str(spec))
    if path.suffix == ".npz":
        return _npz(path, str(spec))
    if "-idx3-ubyte" in path.name or ".idx3-ubyte" in path.name:
        return _idx(path, str(spec))
    raise BnnhwError(f"data must be {KINDS}, not the file {str(spec)!r}")


def load_images(paths: Iterable[str | Path], shape: tuple[int, int, int]) -> Images:
    """Read image files for a network with input ``shape`` (H, W, C): pictures (Pillow) or .npy arrays of uint8.

    A .npy file holds one image (H, W, C), (H, W) where C is 1, or a stack of images (N, H, W, C). For networks of
    photographs (inputs of PHOTOGRAPH pixels and more) pictures of any size are made to fit as usual with ImageNet: the
    shorter side becomes RESIZE times the input's (bilinear), then the middle is cut out. Else nothing is scaled,
    cropped or recoloured: what does not fit is refused.

    Raises BnnhwError naming the file, its size or kind, and what is needed.
    """
    height, width, channels = shape
    found = []
    for path in map(Path, paths):
        if not path.is_file():
            raise BnnhwError(f"image must be a file, not {str(path)!r}: there is no such file")
        image = _npy(path, shape) if path.suffix == ".npy" else fitted(picture(path), shape)[None]
        if image.shape[1:] != shape:
            raise BnnhwError(
                f"image {path} must be {_shape_text(shape)} (height x width x channels) for this network, "
                f"not {_shape_text(image.shape[1:])}"
            )
        found.append(image)
    if not found:
        return np.zeros((0, height, width, channels), np.uint8)
    return np.concatenate(found)


def fitted(image: Images, shape: tuple[int, int, int]) -> Images:
    """A picture (H, W, C) resized and cropped for a network of photographs; as it is for others."""
    height, width, channels = shape
    if image.shape == shape or min(height, width) < PHOTOGRAPH:
        return image
    from PIL import Image

    if image.shape[2] == 1 and channels == 3:
        image = image.repeat(3, axis=2)
    scale = RESIZE * max(height / image.shape[0], width / image.shape[1])
    size = max(round(image.shape[1] * scale), width), max(round(image.shape[0] * scale), height)
    whole = np.asarray(Image.fromarray(image.squeeze()).resize(size, Image.Resampling.BILINEAR))
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    middle = whole[top : top + height, left : left + width]
    return np.ascontiguousarray(middle.reshape(height, width, -1))


def _shape_text(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def _digits(train: bool) -> Data:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise BnnhwError("data digits needs scikit-learn, which is not installed: pip install scikit-learn") from None
    raw, labels = load_digits(return_X_y=True)
    images = np.round(raw.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    part = order[HELD_OUT:] if train else order[:HELD_OUT]
    return Data(images[part], labels[part].astype(np.int64), "scikit-learn digits" if train else "digits")


def _cifar(path: Path, name: str) -> Data:
    size = path.stat().st_size
    if size == 0 or size % CIFAR_RECORD:
        raise FileFormatError(
            f"CIFAR-10 file {path} must be a whole number of {CIFAR_RECORD}-byte records, not {size} bytes"
        )
    records = np.fromfile(path, np.uint8).reshape(-1, CIFAR_RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise FileFormatError(f"labels of CIFAR-10 file {path} must be 0 to 9, not {labels.max()}")
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Data(np.ascontiguousarray(images), labels, name)


def _idx_images(folder: Path) -> Path | None:
    """The images file of an idx folder, its test set first; None if the folder has none."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and "idx3-ubyte" in p.name and "images" in p.name)
    return next((p for p in files if p.name.startswith(("t10k", "test"))), files[0] if files else None)


def _idx(images_path: Path, name: str) -> Data:
    images = _idx_array(images_path, 3)
    stem = images_path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    options = (images_path.with_name(stem), images_path.with_name(stem + ".gz"))
    labels_path = next((p for p in options if p.is_file()), None)
    if labels_path is None:
        raise BnnhwError(f"idx images {images_path} must have a labels file {stem} or {stem}.gz beside them")
    labels = _idx_array(labels_path, 1)
    if len(images) != len(labels):
        raise FileFormatError(f"{labels_path} must have one label for each of {len(images)} images, not {len(labels)}")
    return Data(images[..., None], labels.astype(np.int64), name)


def _idx_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"idx file {path} must be readable as gzip: {error}") from None
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes((0, 0, 8, dimensions)):
        raise FileFormatError(f"{path} must be an idx file of unsigned bytes with {dimensions} dimensions, and is not")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", dimensions, 4))
    need = int(np.prod(shape, dtype=object))
    if len(raw) - header != need:
        raise FileFormatError(f"idx file {path} must hold {need} bytes of data, not {len(raw) - header}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _npz(path: Path, name: str) -> Data:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in ("images", "labels") if key not in archive]
            if missing:
                raise FileFormatError(f".npz file {path} must hold images and labels, and has no {missing[0]}")
            images, labels = archive["images"], archive["labels"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileFormatError(f"{path} must be an .npz file of plain arrays: {_first_line(error)}") from None
    if images.dtype != np.uint8 or images.ndim != 4:
        raise FileFormatError(f"images of {path} must be uint8 (N, H, W, C), not {images.dtype} {images.shape}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise FileFormatError(f"labels of {path} must be integers ({len(images)},), not {labels.dtype} {labels.shape}")
    return Data(images, labels.astype(np.int64), name)


def class_files(folder: Path) -> list[tuple[Path, int]]:
    """Pictures of a folder <class>/<image> with their labels: classes in the order of their names, or as numbers."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    if all(p.name.isdecimal() for p in classes):
        classes.sort(key=lambda p: int(p.name))
    return [
        (path, label)
        for label, sub in enumerate(classes)
        for path in sorted(p for p in sub.iterdir() if p.suffix.lower() in PICTURES)
    ]


def _class_folder(folder: Path, name: str, shape: tuple[int, int, int] | None, count: int | None) -> Data:
    images: list[Images] = []
    labels: list[int] = []
    for path, label in class_files(folder)[:count]:
        image = picture(path) if shape is None else fitted(picture(path), shape)
        if images and image.shape != images[0].shape:
            raise BnnhwError(
                f"image {path} must be {_shape_text(images[0].shape)} like the first image of {folder}, "
                f"not {_shape_text(image.shape)}"
            )
        images.append(image)
        labels.append(label)
    if not images:
        raise BnnhwError(f"data must be {KINDS}, not the folder {name!r}: it holds neither idx files nor class folders")
    return Data(np.stack(images), np.array(labels, np.int64), name)


def picture(path: Path, mode: str | None = None) -> Images:
    """One picture as (H, W, C) with C = 1 (greyscale) or 3 (colour); in Pillow's ``mode``, or as it is, L or RGB."""
    with reading(path) as image:
        if mode is None and image.mode not in ("L", "RGB"):
            raise BnnhwError(
                f"image {path} must be 8-bit greyscale (L) or colour (RGB), not of Pillow's mode {image.mode}"
            )
        array = np.asarray(image if mode is None else image.convert(mode), np.uint8)
    return array[..., None] if array.ndim == 2 else array


@contextmanager
def reading(path: Path) -> Iterator[Image]:
    """A picture opened by Pillow. Raises BnnhwError where it is none, also when its pixels are read inside."""
    try:
        from PIL import Image
    except ImportError:
        raise BnnhwError(f"image {path} needs Pillow, which is not installed: pip install pillow") from None
    try:
        with Image.open(path) as opened:
            yield opened
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BnnhwError(f"image {path} must be a picture Pillow can read (png, jpg): {_first_line(error)}") from None


def _npy(path: Path, shape: tuple[int, int, int]) -> Images:
    """A stack (N, H, W, C) from a .npy file of one image or a stack."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BnnhwError(f"image {path} must be a .npy file of a plain array: {_first_line(error)}") from None
    if array.dtype != np.uint8:
        raise BnnhwError(f"image {path} must be an array of uint8, not {array.dtype}")
    if array.ndim == 2 and shape[2] == 1:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4:
        raise BnnhwError(f"image {path} must have the shape (H, W, C) or (N, H, W, C), not {array.shape}")
    return np.asarray(array, np.uint8)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
