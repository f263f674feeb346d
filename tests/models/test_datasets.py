"""Data sets and user images: every kind read right, every fault refused in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnhw.errors import BnnhwError, FileFormatError
from bnnhw.models import data

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
KINDS = (
    "a CIFAR-10 .bin file, a folder of idx files, a folder <class>/<image>, an .npz file with images and labels, "
    "or the name digits"
)
HELD_LABELS = [2, 3, 2, 3, 0, 4, 2, 6, 5, 0, 8, 7]
HELD_SUM = 2240621


def pixels(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, shape, dtype=np.uint8)


def refusal(spec: Path | str, kind: type[BnnhwError] = BnnhwError) -> str:
    with pytest.raises(kind) as error:
        data.load(spec)
    return str(error.value)


def test_digits_split() -> None:
    held, train = data.load("digits"), data.load("digits:train")
    assert (len(held), len(train)) == (450, 1347)
    assert held.images.shape[1:] == (8, 8, 1)
    assert held.images.dtype == np.uint8
    assert held.labels.dtype == np.int64
    assert (held.images.min(), held.images.max()) == (0, 255)
    assert (held.name, train.name) == ("digits", "scikit-learn digits")
    assert np.bincount(held.labels).min() >= 30
    # the split is part of what shipped accuracy means: it must never move
    assert held.labels[:12].tolist() == data.load("digits").labels[:12].tolist() == HELD_LABELS
    assert int(held.images.astype(np.int64).sum()) == HELD_SUM


def test_cifar(tmp_path: Path) -> None:
    images = pixels(3, 32, 32, 3)
    records = np.concatenate((np.array([[7], [0], [9]], np.uint8), images.transpose(0, 3, 1, 2).reshape(3, -1)), axis=1)
    path = tmp_path / "batch.bin"
    records.tofile(path)
    loaded = data.load(path)
    assert np.array_equal(loaded.images, images)
    assert loaded.labels.tolist() == [7, 0, 9]
    assert loaded.first(2).labels.tolist() == [7, 0]
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(path, FileFormatError) == (
        f"CIFAR-10 file {path} must be a whole number of 3073-byte records, not 9218 bytes"
    )
    path.write_bytes(b"")
    assert refusal(path, FileFormatError) == (
        f"CIFAR-10 file {path} must be a whole number of 3073-byte records, not 0 bytes"
    )
    path.write_bytes(bytes([10]) + bytes(3072))
    assert refusal(path, FileFormatError) == f"labels of CIFAR-10 file {path} must be 0 to 9, not 10"


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_folder(tmp_path: Path, packed: bool) -> None:
    for part, count in (("train", 5), ("t10k", 3)):
        files = {
            f"{part}-images-idx3-ubyte": idx(pixels(count, 7, 6)),
            f"{part}-labels-idx1-ubyte": idx(np.arange(count, dtype=np.uint8)),
        }
        for name, content in files.items():
            (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    loaded = data.load(tmp_path)
    assert np.array_equal(loaded.images, pixels(3, 7, 6)[..., None])
    assert loaded.labels.tolist() == [0, 1, 2]
    assert len(data.load(tmp_path / ("train-images-idx3-ubyte" + ".gz" * packed))) == 5


def test_idx_faults(tmp_path: Path) -> None:
    images, labels = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"
    images.write_bytes(idx(pixels(3, 2, 2)))
    assert refusal(tmp_path) == (
        f"idx images {images} must have a labels file t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz beside them"
    )
    labels.write_bytes(idx(np.zeros(2, np.uint8)))
    assert refusal(tmp_path, FileFormatError) == f"{labels} must have one label for each of 3 images, not 2"
    images.write_bytes(idx(pixels(3, 2, 2))[:-2])
    assert refusal(tmp_path, FileFormatError) == f"idx file {images} must hold 12 bytes of data, not 10"
    images.write_bytes(b"\x00\x00\x08\x01" + bytes(12))
    assert refusal(tmp_path, FileFormatError) == (
        f"{images} must be an idx file of unsigned bytes with 3 dimensions, and is not"
    )
    images.unlink()
    packed = tmp_path / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(b"hello")
    assert refusal(tmp_path, FileFormatError) == (
        f"idx file {packed} must be readable as gzip: Not a gzipped file (b'he')"
    )


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=pixels(4, 5, 6, 2), labels=np.array([1, 0, 3, 2], np.uint8))
    loaded = data.load(path)
    assert np.array_equal(loaded.images, pixels(4, 5, 6, 2))
    assert loaded.labels.tolist() == [1, 0, 3, 2]
    np.savez(path, images=pixels(4, 5, 6, 2))
    assert refusal(path, FileFormatError) == f".npz file {path} must hold images and labels, and has no labels"
    np.savez(path, images=pixels(4, 5, 6, 2) / 255, labels=np.zeros(4, int))
    assert refusal(path, FileFormatError) == (f"images of {path} must be uint8 (N, H, W, C), not float64 (4, 5, 6, 2)")
    np.savez(path, images=pixels(4, 5, 6, 2), labels=np.zeros(3, int))
    assert refusal(path, FileFormatError) == f"labels of {path} must be integers (4,), not int64 (3,)"
    np.savez(path, images=np.array([{}], object), labels=np.zeros(1, int))
    assert refusal(path, FileFormatError) == (
        f"{path} must be an .npz file of plain arrays: Object arrays cannot be loaded when allow_pickle=False"
    )
    path.write_bytes(b"PK\x03\x04nonsense")
    assert refusal(path, FileFormatError) == f"{path} must be an .npz file of plain arrays: File is not a zip file"


def test_class_folder(tmp_path: Path) -> None:
    for name in ("10", "9"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(pixels(4, 5, 3)).save(tmp_path / name / f"{number}.png")
    loaded = data.load(tmp_path)
    assert np.array_equal(loaded.images, np.stack([pixels(4, 5, 3)] * 4))
    assert loaded.labels.tolist() == [0, 0, 1, 1]
    odd = tmp_path / "9" / "odd.png"
    Image.fromarray(pixels(4, 5)).save(odd)
    assert refusal(tmp_path) == f"image {odd} must be 4x5x3 like the first image of {tmp_path}, not 4x5x1"


def test_unknown_data(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"data must be {KINDS}, not the folder '{tmp_path}': it holds neither idx files nor class folders"
    )
    assert refusal("nothing") == f"data must be {KINDS}, not 'nothing': there is no such file or folder"
    (tmp_path / "a.txt").write_text("a")
    assert refusal(tmp_path / "a.txt") == f"data must be {KINDS}, not the file '{tmp_path / 'a.txt'}'"


def test_user_images(tmp_path: Path) -> None:
    grey, colour, array = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.npy"
    Image.fromarray(pixels(8, 8)).save(grey)
    Image.fromarray(pixels(8, 8, 3)).save(colour)
    np.save(array, pixels(2, 8, 8, 3))
    assert np.array_equal(data.load_images([grey], (8, 8, 1)), pixels(8, 8)[None, ..., None])
    both = data.load_images([str(colour), array], (8, 8, 3))
    assert np.array_equal(both, np.concatenate((pixels(8, 8, 3)[None], pixels(2, 8, 8, 3))))
    np.save(array, pixels(8, 8))
    assert data.load_images([array], (8, 8, 1)).shape == (1, 8, 8, 1)
    assert data.load_images([], (8, 8, 1)).shape == (0, 8, 8, 1)


def test_photographs_are_resized_and_cropped(tmp_path: Path) -> None:
    wide, grey, exact = tmp_path / "wide.png", tmp_path / "grey.png", tmp_path / "exact.png"
    picture = np.zeros((160, 320, 3), np.uint8)
    picture[:, 80:240] = 200  # the middle square, of which a margin is cut off all around
    Image.fromarray(picture).save(wide)
    Image.fromarray(pixels(100, 100)).save(grey)
    Image.fromarray(pixels(70, 70, 3)).save(exact)
    assert (data.load_images([wide], (70, 70, 3)) == 200).all()
    assert data.load_images([wide], (80, 70, 3)).shape == (1, 80, 70, 3)
    assert data.load_images([grey], (70, 70, 3)).shape == (1, 70, 70, 3)
    assert data.load_images([grey], (70, 70, 1)).shape == (1, 70, 70, 1)
    assert np.array_equal(data.load_images([exact], (70, 70, 3))[0], pixels(70, 70, 3))
    with pytest.raises(BnnhwError, match="must be 70x70x1"):
        data.load_images([wide], (70, 70, 1))


def test_user_image_faults(tmp_path: Path) -> None:
    def fault(path: Path, shape: tuple[int, int, int] = (8, 8, 1)) -> str:
        with pytest.raises(BnnhwError) as error:
            data.load_images([path], shape)
        return str(error.value)

    path = tmp_path / "a.png"
    assert fault(path) == f"image must be a file, not '{path}': there is no such file"
    path.write_bytes(b"hello")
    assert fault(path) == (
        f"image {path} must be a picture Pillow can read (png, jpg): cannot identify image file '{path}'"
    )
    Image.fromarray(pixels(8, 9)).save(path)
    assert fault(path) == f"image {path} must be 8x8x1 (height x width x channels) for this network, not 8x9x1"
    assert fault(path, (8, 9, 3)) == (
        f"image {path} must be 8x9x3 (height x width x channels) for this network, not 8x9x1"
    )
    Image.fromarray(pixels(8, 8, 4)).save(path)
    assert fault(path) == f"image {path} must be 8-bit greyscale (L) or colour (RGB), not of Pillow's mode RGBA"
    whole = tmp_path / "cut.png"
    Image.fromarray(pixels(64, 64)).save(whole)
    whole.write_bytes(whole.read_bytes()[:200])
    assert fault(whole).startswith(f"image {whole} must be a picture Pillow can read (png, jpg): ")
    array = tmp_path / "a.npy"
    np.save(array, pixels(8, 8, 1) / 255)
    assert fault(array) == f"image {array} must be an array of uint8, not float64"
    np.save(array, pixels(64))
    assert fault(array) == f"image {array} must have the shape (H, W, C) or (N, H, W, C), not (64,)"
    np.save(array, pixels(8, 8))
    assert fault(array, (8, 8, 3)) == f"image {array} must have the shape (H, W, C) or (N, H, W, C), not (8, 8)"
    array.write_bytes(b"hello")
    assert fault(array).startswith(f"image {array} must be a .npy file of a plain array: ")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data in {SHARED}")
def test_real_sets() -> None:
    mnist = data.load(SHARED / "mnist")
    assert mnist.images.shape == (10000, 28, 28, 1)
    assert np.bincount(mnist.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    cifar = data.load(SHARED / "cifar10" / "test_batch_first1000.bin")
    assert cifar.images.shape == (1000, 32, 32, 3)
    assert cifar.labels[:8].tolist() == [3, 8, 8, 0, 6, 6, 1, 6]
