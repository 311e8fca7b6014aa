"""Small files that outlive a power cut: whole and under their name, or not at all.

Nothing is acknowledged before the folder that names it is on the disk, too.
"""

import os
from pathlib import Path


def write_whole(path: Path, content: str) -> None:
    """Replace the file; synced with its name on return, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_name(f".{path.name}.new")
    spare.unlink(missing_ok=True)
    handle = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    spare.replace(path)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def sync_folder(folder: Path) -> None:
    """What is named in it stays named."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
