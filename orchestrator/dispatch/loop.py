"""Offers planned jobs as soon as their machines are free, and notices silence.

Level-triggered: events only wake it, a look every two seconds finds what they missed.
"""

import time
from typing import Final, NoReturn

import structlog

from orchestrator.dispatch import service
from orchestrator.dispatch.signing import Signer
from orchestrator.orders.model import IllegalMove
from orchestrator.orders.service import Raced
from orchestrator.store import Store, StoreBusy, rung

_log = structlog.get_logger("dispatch")
_POLL_S: Final = 2.0
_SILENCE_EVERY_S: Final = 5.0


async def run(store: Store, signer: Signer) -> NoReturn:
    looked_s = time.monotonic()
    while True:
        bell = store.bell
        try:
            await _offer(store, signer)
            if time.monotonic() - looked_s > _SILENCE_EVERY_S:
                looked_s = time.monotonic()
                await store.run(service.note_silence)
        except (StoreBusy, Raced, service.Raced, IllegalMove) as error:
            _log.warning("later again", why=str(error))
        except Exception:  # noqa: BLE001 - logged in full
            _log.exception("nothing was offered; trying again")
        await rung(bell, _POLL_S)


async def _offer(store: Store, signer: Signer) -> None:
    async with store.view() as unit:
        waiting = bool(await service.offerable(unit))
    if waiting:
        await store.run(lambda unit: service.offer_planned(unit, signer))
