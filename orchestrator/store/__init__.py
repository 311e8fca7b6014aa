"""Where the city's memory is: one database, its event log, and files named by their hash.

It promises that a change and the event that tells of it are committed together or not at all;
it knows no order, lab or machine.
"""

from orchestrator.store.blobs import Blobs, DamagedBlob, LooseBlobs, MissingBlob
from orchestrator.store.durable import write_whole
from orchestrator.store.engine import Event, JsonValue, Store, StoreAway, StoreBusy, Unit, rung
from orchestrator.store.tables import Base, Utc, new_id

__all__ = [
    "Base",
    "Blobs",
    "DamagedBlob",
    "Event",
    "JsonValue",
    "LooseBlobs",
    "MissingBlob",
    "Store",
    "StoreAway",
    "StoreBusy",
    "Unit",
    "Utc",
    "new_id",
    "rung",
    "write_whole",
]
