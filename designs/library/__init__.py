"""Open designs of our own: each a folder with its manifest `okh.toml` and its source `make.py`.

Building one writes the files a release is published from; it never depends on clock or chance, so
the same source gives the same bytes.
"""

import importlib
import shutil
from pathlib import Path

_HERE = Path(__file__).parent


def slugs() -> tuple[str, ...]:
    """The designs there are, in alphabetical order."""
    return tuple(sorted(p.parent.name.replace("_", "-") for p in _HERE.glob("*/okh.toml")))


def build(slug: str, out_dir: str | Path) -> Path:
    """Writes the design's manifest, source and exports into `out_dir`; returns it.

    Needs the `library` dependency group (manifold3d) for designs with printed parts. Raises
    `KeyError` for an unknown slug.
    """
    if slug not in slugs():
        raise KeyError(f"no design {slug!r}; there are {', '.join(slugs())}")
    home, out = _HERE / slug.replace("-", "_"), Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("okh.toml", "make.py"):
        shutil.copyfile(home / name, out / name)
    importlib.import_module(f"designs.library.{home.name}.make").build(out)
    return out
