"""What the person at the machines does on the console, in a real browser, before a real agent."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from fablab_agents.protocol.attempts import State
from tests.conftest import need
from tests.fablab_agents.conftest import City, Keys, Lab, Workshop, city_at
from tests.fablab_agents.test_by_hand import BY_HAND, last
from tests.fablab_agents.test_uplink import seed

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
GLOVE_PX = 44
MILL = """
[[machine]]
id = "mill-1"
title = "Small mill"
profile = "generic-cnc-3018"
driver = "grbl"
link = "{link}"
materials = ["plywood"]
tool_mm = 3.175
{more}
"""
Open = Callable[[str], Awaitable[Page]]


@pytest.fixture
async def city(lab: Lab, keys: Keys) -> AsyncIterator[City]:
    async with city_at(lab.identity.mqtt.port, keys) as city:
        yield city


@pytest.fixture
async def look() -> AsyncIterator[Open]:
    """Opens a page as on a shop's tablet; at the end nothing has gone wrong in it."""
    chromium, wrong = need("chromium"), []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)

        async def opened(address: str) -> Page:
            page = await browser.new_page(viewport={"width": 820, "height": 1180})
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            await page.goto(address)
            return page

        yield opened
        await browser.close()
    assert wrong == []


def also(lab: Lab, text: str) -> None:
    path = lab.folder / "agent.toml"
    path.write_text(path.read_text() + text)


async def shot(page: Page, name: str) -> None:
    """A picture of it, where somebody asked for pictures."""
    folder = os.environ.get("COSMOLOCAL_PICTURES")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
async def handing_out(
    lab: Lab, city: City, keys: Keys, tmp_path: Path, look: Open
) -> tuple[Page, str, Path]:
    """A part handed out to Ana: the console's page, the attempt and the hand-out folder."""
    folder = tmp_path / "hand-out"
    folder.mkdir()
    also(lab, BY_HAND.format(link=folder))
    attempt = seed(lab, city, keys, machine="ruida-1")
    lab.start()
    page = await look(lab.console)
    await press(page, "Hand it out to me")
    await expect(page.locator("#said")).to_have_text("First write who you are.")
    await page.get_by_label("Who is at the machines?").fill("Ana Puig")
    await press(page, "Hand it out to me")
    await expect(page.get_by_role("button", name="I started it")).to_be_visible()
    return page, attempt, folder


async def press(page: Page, name: str) -> None:
    card = page.locator("article", has_text="Big laser")
    await card.get_by_role("button", name=name, exact=True).click()


async def test_a_part_by_hand_from_hand_out_to_word(
    city: City, handing_out: tuple[Page, str, Path]
) -> None:
    page, attempt, _ = handing_out
    await shot(page, "by-hand-handed-out")
    for button in await page.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= GLOVE_PX
    await press(page, "I started it")
    await city.until_state(attempt, State.RUNNING)  # else the note may go with the first word
    await page.get_by_label("Anything to add?").fill("edges a little dark")
    await press(page, "It is finished")  # what was written stays while the card changes
    await shot(page, "by-hand-finish")
    assert State.FINISHED not in city.states(attempt)  # a sleeve on the glass is no word
    await press(page, "Yes, it is finished")
    await city.until_state(attempt, State.FINISHED)
    said = last(city, attempt)
    assert (said.person, said.cause) == ("Ana Puig", "attested by a person: edges a little dark")
    await expect(page.locator("table")).to_contain_text("attested by a person")
    await shot(page, "by-hand-done")


async def test_the_file_and_the_sheet_are_taken_along(
    handing_out: tuple[Page, str, Path],
) -> None:
    page, _, folder = handing_out
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="The file").click()
    got = await coming.value
    [given] = folder.glob("*.gcode")
    assert got.suggested_filename == given.name
    assert Path(await got.path()).read_bytes() == given.read_bytes()
    async with page.expect_popup() as opening:
        await page.get_by_role("link", name="The set-up sheet").click()
    sheet = await opening.value
    await expect(sheet.locator("body")).to_contain_text("lower left corner of the sheet")
    await expect(sheet.locator("body")).to_contain_text(given.name)
    await expect(sheet.get_by_role("button", name="Print it")).to_be_visible()
    await shot(sheet, "by-hand-sheet")
    await sheet.emulate_media(media="print")
    await expect(sheet.locator("[data-print]")).to_be_hidden()
    wide = await sheet.evaluate("document.documentElement.scrollWidth")
    assert wide <= 820


async def test_an_alarm_is_homed_and_a_mill_set_up(
    lab: Lab, workshop: Workshop, tmp_path: Path, look: Open
) -> None:
    kind = tmp_path / "homing.toml"
    shipped = Path(__file__).parents[2] / "hardware-sim/hardware_sim/machines/mill-3018.toml"
    kind.write_text(shipped.read_text().replace("22 = 0", "22 = 1"))
    link = workshop.start("mill-1", str(kind), speed=20)
    also(lab, MILL.format(link=link, more="jog = true"))
    lab.start()
    page = await look(lab.console)
    await page.get_by_label("Who is at the machines?").fill("Ana")
    card = page.locator("article", has_text="Small mill")
    await expect(card).to_contain_text("does not know where it is")
    home = card.get_by_role("button", name="Home it")
    await shot(page, "alarm")
    await home.click()
    await card.get_by_role("button", name="Yes, I see it: home it now").click()
    await expect(card.locator(".state")).to_have_text("idle")
    await card.get_by_role("link", name="Set it up").click()
    standing = page.locator("[data-standing]")
    await expect(standing).to_contain_text("X -1.00")
    left = page.get_by_role("button", name="X− left")
    await left.click()
    await expect(page.locator("#said")).to_have_text("First say that you stand at the machine.")
    await page.get_by_label("I stand at this machine").check()
    await page.get_by_text("10 mm").click()
    await left.click()
    await expect(standing).to_contain_text("X -11.00")
    await page.get_by_text("0.1 mm").click()
    await page.get_by_role("button", name="X+ right").click()
    await expect(standing).to_contain_text("X -10.90")
    await page.get_by_text("10 mm").click()
    await page.get_by_role("button", name="Z+ up").click()
    await expect(page.locator("#said")).to_contain_text("outside its travel")
    await shot(page, "set-up")
    box = await left.bounding_box()
    assert box is not None
    assert min(box["height"], box["width"]) >= 2 * GLOVE_PX - 10


async def test_without_the_shops_leave_nobody_moves_anything(
    lab: Lab, workshop: Workshop, look: Open
) -> None:
    also(lab, MILL.format(link=workshop.start("mill-1", "mill-3018", speed=20), more=""))
    lab.start()
    page = await look(lab.console)
    card = page.locator("article", has_text="Small mill")
    await expect(card.locator(".state")).to_have_text("idle")
    await expect(card.get_by_role("link", name="Set it up")).to_have_count(0)
    moved = {"axis": "X", "toward": "-", "step_mm": "1", "at_the_machine": True}
    answer = await lab.press("/api/machines/mill-1/jog", **moved)
    assert (answer.status_code, "jog = true" in answer.text) == (409, True)
    answer = await lab.press("/api/machines/mill-1/home", at_the_machine=True)
    assert answer.status_code == 409
    answer = await lab.press("/api/machines/mill-1/home", at_the_machine=False)
    assert answer.status_code == 400
