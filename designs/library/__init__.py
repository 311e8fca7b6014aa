"""Open designs of our own: each a folder with its manifest `okh.toml`, its source `make.py` and its
`instructions.md`.

Building one writes the files a release is published from; it never depends on clock or chance, so
the same source and the same wishes give the same bytes.
"""

import shutil
import tempfile
from pathlib import Path

from designs.library.built import HERE, source, write
from designs.library.parameters import Bounds, bounds, given


def slugs() -> tuple[str, ...]:
    """The designs there are, in alphabetical order."""
    return tuple(sorted(p.parent.name.replace("_", "-") for p in HERE.glob("*/okh.toml")))


def wishes(slug: str) -> tuple[Bounds, ...]:
    """What of the design may be wished otherwise; raises `KeyError` for an unknown slug."""
    return bounds(source(_known(slug)).wishes)


def build(slug: str, out_dir: str | Path, **wished: float | str) -> Path:
    """Writes the design's manifest, source, texts, exports and pictures to `out_dir`; returns it.

    Needs the `library` dependency group (manifold3d). Raises `KeyError` for an unknown slug and
    `DesignRefused` where a wish is out of bounds or what comes of it could not be made; nothing is
    written then.
    """
    design = source(_known(slug))
    wish = given(design.wishes, wished)
    with tempfile.TemporaryDirectory(prefix="design-") as folder:
        work, out = Path(folder), Path(out_dir)
        write(slug, design, wish, work)
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(work.iterdir()):
            shutil.copyfile(file, out / file.name)
    return out


def _known(slug: str) -> str:
    if slug not in slugs():
        raise KeyError(f"no design {slug!r}; there are {', '.join(slugs())}")
    return slug
