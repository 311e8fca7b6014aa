"""Plans whenever something is wanted or a machine has gone; events wake it, every look is whole."""

from typing import Final, NoReturn

import structlog

from orchestrator.orders.model import IllegalMove
from orchestrator.orders.service import Raced
from orchestrator.planning import service
from orchestrator.planning.worker import PlannerGone, Worker
from orchestrator.store import Store, StoreAway, rung
from scheduling import InvalidPlan, ProblemError

_log = structlog.get_logger("planning")
_POLL_S: Final = 2.0
_FRESH_AFTER_LOOKS: Final = 30


async def run(store: Store, who: str) -> NoReturn:
    """Level-triggered: what one look misses the next one, two seconds later, finds.

    `who`: this planner among others on the same store, the same after a restart.
    """
    last: object = None
    looks = 0
    async with Worker() as worker:
        while True:
            bell = store.bell
            looks += 1
            # What could not be placed is looked at afresh once a minute: time alone changes it.
            last = await _look(
                store, who, worker, None if looks % _FRESH_AFTER_LOOKS == 0 else last
            )
            await rung(bell, _POLL_S)


async def _look(store: Store, who: str, worker: Worker, last: object) -> object:
    try:
        return await service.replan(store, last, who, worker.solve)
    except (StoreAway, Raced, IllegalMove) as error:
        _log.info("later again", why=str(error))
    except (InvalidPlan, ProblemError) as error:
        _log.error("no valid plan; the one in force stays", why=str(error))
    except PlannerGone as error:
        _log.warning("no plan; another process is begun", why=str(error))
    except Exception:  # noqa: BLE001 - logged in full
        _log.exception("no plan; trying again")
    return last
