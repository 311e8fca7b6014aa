"""A designer publishes in a real browser: drops files, corrects one, publishes, sees the page."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Look
from tests.browser.test_stories import FAINT
from tests.orchestrator.catalogue.conftest import SQUARE, block

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

DROP = """([form, files]) => {
  const carried = new DataTransfer();
  const how = { dataTransfer: carried, bubbles: true, cancelable: true };
  for (const [name, text] of files) carried.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    form.dispatchEvent(new DragEvent(kind, how));
  }
}"""


def drop(page: Page, form: str, files: dict[str, str]) -> None:
    """Files let fall on a form, as the browser tells the page of it."""
    handle = page.locator(form).element_handle()
    page.evaluate(DROP, [handle, list(files.items())])


def fits(page: Page) -> None:
    """Readable and without sideways scrolling, on a phone and on a desk, by day and night."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate(FAINT) == []
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} wide on {width}"


def test_two_files_are_dropped_one_is_corrected_and_the_design_is_published(look: Look) -> None:
    # A form that is refused is answered 422, which the browser's console tells.
    page = look("/publish", forgives=("422",))
    fits(page)
    drop(page, ".drop", {"plate.svg": SQUARE, "hook.stl": "solid hook\nfacet"})
    expect(page).to_have_url(re.compile("/publish/d-"), timeout=60_000)
    assert "key=" not in page.url
    files = page.locator("#files")
    expect(files.locator(".files > li", has_text="plate.svg")).to_contain_text("40.0 × 40.0 mm")
    broken = files.locator(".files > li", has_text="hook.stl")
    expect(broken).to_contain_text("to correct")
    expect(page.locator("#missing")).to_have_text("Before it can be published")
    fits(page)
    page.evaluate("window.sameDocument = true")
    drop(page, "#add", {"hook.stl": block()})
    expect(broken).to_contain_text("20.0 × 12.0 × 8.0 mm", timeout=60_000)
    expect(page.locator("#add [role=status]")).to_contain_text("Looked at 1 file")
    expect(broken.locator("img")).to_have_js_property("complete", value=True)
    page.get_by_label("Title").fill("Plate with a hook")
    page.get_by_label("Who holds the rights").fill("Ana Puig")
    page.get_by_role("button", name="Publish", exact=True).click()  # the licence is missing
    expect(page.get_by_role("alert")).to_contain_text("licence")
    fits(page)
    page.get_by_label("make, sell and change it; changes to your files stay open").check()
    expect(page.locator("#missing")).to_have_text("Ready to publish", timeout=60_000)
    key = page.locator("[aria-labelledby=back] code").last.inner_text()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator(".key")).to_have_text(key, timeout=60_000)
    assert key not in page.url
    fits(page)
    page.get_by_role("link", name="Look at its page").click()
    expect(page).to_have_url(re.compile("/designs/plate-with-a-hook"), timeout=60_000)
    expect(page.locator("main")).not_to_contain_text(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("Plate with a hook")
    expect(page.locator("main")).to_contain_text("CERN-OHL-W-2.0, by Ana Puig")
    page.goto("/", wait_until="domcontentloaded")
    expect(page.get_by_role("link", name="Plate with a hook")).to_be_visible()


def test_the_same_story_by_keyboard_and_without_scripts(look: Look, tmp_path: Path) -> None:
    page = look("/publish", java_script_enabled=False)
    chosen = tmp_path / "shelf.svg"
    chosen.write_text(SQUARE)
    page.get_by_label("Files to publish").set_input_files(chosen)
    page.get_by_role("button", name="Look at my files").press("Enter")
    expect(page.locator("#files")).to_contain_text("40.0 × 40.0 mm")
    page.get_by_label("Title").fill("Shelf")
    page.get_by_label("do with it what they like, without naming you").press("Space")
    page.get_by_role("button", name="Save and look again").press("Enter")
    expect(page.locator("#missing")).to_have_text("Ready to publish")
    expect(page.get_by_label("Title")).to_have_value("Shelf")
    extra = tmp_path / "extra.svg"
    extra.write_text(SQUARE)
    page.get_by_label("Add or replace files").set_input_files(extra)
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.get_by_role("button", name="Remove extra.svg").press("Enter")
    expect(page.locator("#files")).not_to_contain_text("extra.svg")
    draft = page.url
    page.get_by_role("button", name="Publish", exact=True).press("Enter")
    page.get_by_role("link", name="Look at its page").press("Enter")
    expect(page).to_have_url(re.compile("/designs/shelf"))
    page.goto(draft)  # a draft that was published leads to what it became
    expect(page).to_have_url(re.compile("/designs/shelf"))


def test_a_draft_shows_nothing_to_who_does_not_have_its_link(look: Look) -> None:
    page = look("/publish", forgives=("404",))
    drop(page, ".drop", {"secret-lamp.svg": SQUARE})
    expect(page).to_have_url(re.compile("/publish/d-"), timeout=60_000)
    link = page.get_by_role("link", name="link to this draft").get_attribute("href")
    address = page.url
    stranger = look(address)
    expect(stranger.locator("main")).to_contain_text("a draft is opened by its key")
    expect(stranger.locator("main")).not_to_contain_text("secret-lamp")
    stranger.goto(link or "")
    expect(stranger.locator("#files")).to_contain_text("secret-lamp.svg")
    assert "key=" not in stranger.url
