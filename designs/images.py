"""Pictures that come with a design: what they tell besides the picture, and copies without it.

A copy has the same pixels the right way up, and nothing of the camera, the place or the person.
"""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from designs import kinds
from designs.bounded import Json
from designs.errors import Finding, LimitExceeded, Refused, Severity

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
MAX_FILE_BYTES = 32 * 2**20
MAX_PIXELS = 60_000_000
_AGAIN = "Save the picture again as PNG or JPEG"
_GPS, _EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
_SERIALS = {0xA431, 0xA430, 0xA435, 0xC62F}  # of body and lens, and the owner's name
_PERSON = {0x013B, 0x8298, 0x9C9D}  # artist, copyright, author


def look(path: str) -> tuple[dict[str, Json], list[Finding]]:
    """({"kind": "image", "size_px", "format"}, what else it tells); raises `Refused`."""
    kind, image = _opened(Path(path))
    facts: dict[str, Json] = {"kind": "image", "format": kind, "size_px": list(image.size)}
    return facts, list(_told(Path(path), image, "would be taken out when it is published"))


def clean(path: str, out: str) -> dict[str, Json]:
    """Child's work: {"changed", "findings"}; where something is taken out, `out` is the copy."""
    kind, image = _opened(Path(path))
    found = list(_told(Path(path), image, "was taken out"))
    if found:
        _plain(image).save(out, FORMATS[kind], **_HOW[kind])
    return {"changed": bool(found), "findings": [f.model_dump(mode="json") for f in found]}


_HOW: dict[str, dict[str, int | bool]] = {
    "png": {"optimize": True},
    "jpeg": {"quality": 92, "optimize": True},
    "webp": {"quality": 92},
}


def _opened(path: Path) -> tuple[str, Image.Image]:
    if path.stat().st_size > MAX_FILE_BYTES:
        what = f"it is larger than {MAX_FILE_BYTES // 2**20} MiB"
        raise LimitExceeded(what, "the picture", "Save it smaller")
    kind = kinds.held(path)
    if kind not in FORMATS:
        what = f"it is {kinds.TITLES.get(kind, 'no picture we know')}"
        raise Refused(what, "the first bytes", _AGAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=[FORMATS[kind]])
        if image.width * image.height > MAX_PIXELS:
            what = f"it has {image.width} × {image.height} points"
            raise LimitExceeded(what, "the picture", "Save it smaller")
        image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as broken:
        raise Refused("the picture is damaged", "the file", _AGAIN) from broken
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, EOFError) as broken:
        raise Refused("the picture is damaged", "the file", _AGAIN) from broken
    return kind, image


def _told(path: Path, image: Image.Image, done: str) -> Iterator[Finding]:
    exif = image.getexif()
    if exif.get_ifd(_GPS):
        yield _note("its GPS position", f"where it was taken {done}")
    inner = exif.get_ifd(_EXIF)
    if (exif.keys() | inner.keys()) & (_SERIALS | _PERSON):
        yield _note("names and serial numbers", f"who took it, and with which camera, {done}")
    if exif.keys() - {_GPS}:
        yield _note("its camera data (EXIF)", f"when and how it was taken {done}")
    words = sorted(
        {str(name) for name in image.info}
        & {"xmp", "XML:com.adobe.xmp", "comment", "photoshop", "mp"}
    )
    text = getattr(image, "text", None)
    words += sorted(str(name)[:40] for name in text) if isinstance(text, dict) else []
    if words:
        yield _note(", ".join(dict.fromkeys(words))[:120], f"text beside the picture {done}")
    if getattr(image, "n_frames", 1) > 1:
        yield _note("further pictures in it", f"all but the first {done}")
    behind = _behind(path)
    if behind:
        yield _note(f"{behind} bytes behind the picture", f"what is hidden there {done}")


def _behind(path: Path) -> int:
    """Bytes after the end of a PNG or JPEG picture: another file may ride there."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        end = data.rfind(b"IEND\xaeB`\x82")
        return len(data) - end - 8 if end >= 0 else 0
    if data.startswith(b"\xff\xd8"):
        end = data.rfind(b"\xff\xd9")
        return len(data.rstrip(b"\0")) - end - 2 if end >= 0 else 0
    return 0


def _plain(image: Image.Image) -> Image.Image:
    """The pixels alone, turned upright, in sRGB."""
    upright = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    mode = "RGBA" if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info else "RGB"
    if image.format == "JPEG":
        mode = "RGB"
    if profile and upright.mode == "RGB":
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            upright = (
                ImageCms.profileToProfile(upright, own, ImageCms.createProfile("sRGB")) or upright
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    upright = upright.convert(mode)
    bare = Image.new(mode, upright.size)
    bare.paste(upright)
    return bare


def _note(where: str, what: str) -> Finding:
    return Finding(severity=Severity.NOTE, where=where, what=what, do="Nothing to do")
