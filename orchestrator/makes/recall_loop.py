"""Looks again whether something recalled is still open: what could not be stopped at once.

A lab that was waited for after a restore has told, or the span of a machine has begun.
"""

import asyncio
from typing import Final, NoReturn

import structlog

from orchestrator.dispatch.records import Raced as AttemptRaced
from orchestrator.makes import recalled
from orchestrator.orders.model import IllegalMove
from orchestrator.orders.service import Raced
from orchestrator.store import Store, StoreAway

_log = structlog.get_logger("recalls")
_LOOK_S: Final = 2.0


async def run(store: Store) -> NoReturn:
    while True:
        try:
            await look(store)
        except (StoreAway, Raced, AttemptRaced, IllegalMove) as error:
            _log.info("later again", why=str(error))
        except Exception:  # noqa: BLE001 - logged in full
            _log.exception("open jobs of recalls were not looked at; trying again")
        await asyncio.sleep(_LOOK_S)


async def look(store: Store) -> None:
    """One look; it takes a writer's turn only where something recalled is still open."""
    async with store.view() as unit:
        waiting = await recalled.waiting(unit)
    if waiting:
        await store.run(recalled.press)
