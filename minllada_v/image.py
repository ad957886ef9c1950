"""Files to pictures: one RGB picture, or the frames of a video."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageSequence, UnidentifiedImageError

from .errors import InputError
from .files import check_file, kind_of

# Pillow knows these names, and writes such files or only recognizes them.
NOT_READ = {"BUFR", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
A_VIDEO_IS = "a video is a folder of frames, or an animated GIF or WebP"
Source = str | Path | Image.Image  # what people hand over as a picture


def read_picture(source: Source, allow_truncated: bool = False) -> Image.Image:
    """The picture `source` (a path or a PIL image) as 8-bit RGB.

    Of an animation this is the first frame. Transparency is dropped and EXIF rotation ignored, as the released code
    does. With `allow_truncated` a file that lacks its end is read as far as it goes, as in the released training.
    Raises `InputError` if there is no file, it is no picture, it is cut short, it unpacks to more pixels than Pillow
    considers safe, or its values do not fit into 8 bits.
    """
    if isinstance(source, Image.Image):
        return _to_rgb(source, "the picture")
    if not isinstance(source, (str, Path)):
        raise InputError(f"a picture must be a path or a PIL image, not a {type(source).__name__}")
    before = ImageFile.LOAD_TRUNCATED_IMAGES  # Pillow has one switch for all
    ImageFile.LOAD_TRUNCATED_IMAGES = before or allow_truncated
    try:
        with _opened(source) as picture:
            return _to_rgb(picture, source)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def read_frames(source: str | Path | Sequence[Source], count: int = 32) -> list[Image.Image]:
    """The frames of a video as RGB pictures.

    `source` is a folder of pictures (in the order of the numbers in their names) or an animated GIF or WebP, of which
    `count` evenly spaced frames are read, all where there are fewer; or a sequence of pictures, which is taken whole.
    Raises `InputError` if it is none of these or holds no frame.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        if (kind := kind_of(path)) != "folder":
            if kind == "file" and path.suffix.lower() not in _known_suffixes():
                raise InputError(f"{path} cannot be read as a video: {A_VIDEO_IS}; extract the frames first")
            return _animation_frames(path, count)
        source = frame_files(path, count)
    if not source:
        raise InputError("a video must have at least one frame")
    return [read_picture(frame) for frame in source]


def frame_files(folder: Path, count: int = 32) -> list[Path]:
    """The files in `folder` that `read_frames` reads. Raises `InputError` if there are none."""
    known = _known_suffixes()
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in known and not file.name.startswith(".")]
    except OSError as error:
        raise _unreadable(folder, error) from None
    if not files:
        raise InputError(f"{folder} holds no pictures: {A_VIDEO_IS}")
    files.sort(key=_number_order)
    return [files[index] for index in evenly_spaced(len(files), count)]


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most `count` of the indices 0..total-1, the first and the last among them, evenly spaced."""
    if count < 1:
        raise InputError(f"the number of frames must be at least 1, not {count}")
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def _animation_frames(path: Path, count: int) -> list[Image.Image]:
    with _opened(path) as animation:
        try:
            total = getattr(animation, "n_frames", 1)
            wanted = set(evenly_spaced(total, count))
            frames = [_to_rgb(frame, path) for index, frame in enumerate(ImageSequence.Iterator(animation))
                      if index in wanted]
        except InputError:
            raise
        except Exception as error:
            raise _unreadable(path, error) from None
    if total == 1:
        raise InputError(f"{path} is a single picture: {A_VIDEO_IS}")
    return frames


def _known_suffixes() -> set[str]:
    return {suffix for suffix, name in Image.registered_extensions().items() if name not in NOT_READ}


def _number_order(file: Path) -> list:
    """Sort key that puts frame2 before frame10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", file.name)]


def _opened(path: str | Path) -> Image.Image:
    check_file(path, "a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path} unpacks to more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller") from None
    except Exception as error:  # Pillow's readers raise whatever the broken bytes lead them to
        raise _unreadable(path, error) from None


def _to_rgb(picture: Image.Image, name: str | Path) -> Image.Image:
    """A copy in 8-bit RGB. Every picture and every frame comes through here."""
    if 0 in picture.size:
        raise InputError(f"{name} has no pixels: it is {picture.width} x {picture.height}")
    try:
        if picture.mode.startswith(("I", "F")):
            picture = Image.fromarray(_to_8_bits(np.asarray(picture), picture.mode, name))
        return picture.convert("RGB")
    except InputError:
        raise
    except Exception as error:
        raise _unreadable(name, error) from None


def _to_8_bits(values: np.ndarray, mode: str, name: str | Path) -> np.ndarray:
    """Grey values of more than 8 bits as uint8. Pillow would clip them to white, or to black.

    What the values mean is seen from the largest: up to 1 (of floats), up to 255, or up to 65,535 (of integers).
    """
    low, high = values.min(), values.max()
    limit = 255 if mode == "F" else 65_535
    if not 0 <= low <= high <= limit:  # not so of NaN either
        raise InputError(f"{name} has grey values from {low:g} to {high:g}, and {limit} is the most that can be read; "
                         "save it with 8 bits")
    if mode == "F":
        values = (values * 255 if high <= 1 else values).round()
    elif mode != "I" or high > 255:
        values = values >> 8  # 16 bits
    return values.astype(np.uint8)


def _unreadable(name: str | Path, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{name} is not a picture, or of a kind that Pillow cannot read")
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{name} cannot be read: {error.strerror}")
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return InputError(f"{name} cannot be read as a picture: {reason}")
