from typing import Any

from fablab_agents.protocol.messages import Opening
from orchestrator.dispatch.notes import Notes, compare
from tests.wire import hello

OURS = Notes("t-1", epoch=1, up_acked=5)


def before(*boots: str, began_seq: int = 5) -> tuple[Opening, ...]:
    return tuple(Opening(boot=boot, began_seq=began_seq) for boot in boots)


def current(ours: Notes, boot: str, *boots: str, **words: Any) -> bool:
    told: dict[str, Any] = {"boots": before(*boots), "began_seq": 5, "head_seq": 5, **words}
    return compare(ours, hello(boot, **told), epoch=1).current


def test_the_first_boot_of_all_speaks():
    assert current(Notes(), "t-1", began_seq=0, head_seq=0)


def test_the_boot_that_speaks_goes_on_and_so_do_those_after_it_on_the_same_journal():
    assert current(OURS, "t-1", began_seq=0)
    assert current(OURS, "t-2", "t-1", "t-0")
    assert current(OURS, "t-9", "t-8", "t-7", "t-1"), "others were never heard"


def test_of_two_computers_from_one_image_the_one_that_came_first_is_not_followed_by_the_other():
    """However often the other was started, and with just as many reports of its own."""
    said = hello("d-1", boots=before("t-1"), began_seq=5, head_seq=5)
    double = compare(OURS, said, epoch=1).notes
    assert double.boot == "d-1"
    assert not current(double, "t-1", "t-0")
    assert not current(double, "t-2", "t-1", "t-0")
    assert not current(double, "t-3", "t-2", "t-1", "t-0")
    assert current(double, "t-3", "d-1", "t-2", "t-1", "t-0"), "it took the memory over"


def test_a_journal_without_a_report_that_we_have_is_an_older_copy():
    assert not current(OURS, "t-2", "t-1", began_seq=4)


def test_nor_is_an_older_copy_believed_once_its_own_words_have_our_numbers():
    """`t-2` opened it without our last report and was not heard; `t-3` has as many of its own."""
    unheard = (*before("t-2", began_seq=4), *before("t-1", began_seq=0))
    assert not current(OURS, "t-3", boots=unheard, began_seq=6, head_seq=6)
    told = (*before("t-2", began_seq=5), *before("t-1", began_seq=0))
    assert current(OURS, "t-3", boots=told, began_seq=6, head_seq=6)
