"""Offers planned jobs as soon as their machines are free, and notices silence.

Level-triggered: events only wake it, a look every two seconds finds what they missed.
"""

import time
from typing import Final, NoReturn

import structlog

from orchestrator.dispatch import offers, records, service
from orchestrator.dispatch.signing import Signer
from orchestrator.orders.model import IllegalMove
from orchestrator.orders.service import Raced
from orchestrator.store import Store, StoreAway, rung

_log = structlog.get_logger("dispatch")
_POLL_S: Final = 2.0
_SILENCE_EVERY_S: Final = 5.0
_LATER: Final = (StoreAway, Raced, records.Raced, IllegalMove)


async def run(store: Store, signer: Signer) -> NoReturn:
    looked_s = time.monotonic()
    making = Offers(store, signer)
    while True:
        bell = store.bell
        try:
            await making.make()
            if time.monotonic() - looked_s > _SILENCE_EVERY_S:
                looked_s = time.monotonic()
                await store.run(service.note_silence)
                await store.run(lambda unit: service.take_back_distrusted(unit, signer))
        except _LATER as error:
            _log.warning("later again", why=str(error))
        except Exception:  # noqa: BLE001 - logged in full
            _log.exception("nothing was offered; trying again")
        await rung(bell, _POLL_S)


class Offers:
    """Offers planned jobs; one that cannot be offered is set aside and holds up no other."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self._signer = signer
        self._aside: set[str] = set()

    async def make(self) -> None:
        """All in one transaction, or, if one spoils it, each in its own."""
        async with self._store.view() as unit:
            waiting = [job.id for job, _ in await offers.offerable(unit, self._aside)]
        if not waiting:
            return
        try:
            await self._store.run(
                lambda unit: offers.offer_planned(unit, self._signer, self._aside)
            )
        except _LATER:
            raise
        except Exception:  # noqa: BLE001 - which of them it is comes out, and is logged
            for job in waiting:
                await self._alone(job)

    async def _alone(self, job: str) -> None:
        try:
            await self._store.run(
                lambda unit: offers.offer_one(unit, self._signer, job, self._aside)
            )
        except _LATER:
            raise
        except Exception:  # noqa: BLE001 - logged in full
            _log.exception("a job cannot be offered; it is set aside until a restart", job=job)
            self._aside.add(job)
