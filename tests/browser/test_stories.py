"""What people do on the pages, in a real browser against a real server."""

import re
import signal
from itertools import combinations

import pytest
from playwright.sync_api import Page, expect

from orchestrator.orders import service as orders
from orchestrator.store import Unit
from tests.browser.conftest import Look, Server

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

# Contrast of all words that are seen, by the formula of WCAG 2.1; below 4.5 (3 when large) is told.
FAINT = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const words = [...node.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (!words.length || !node.checkVisibility() || node.closest(".skip")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(behind(node))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24
      || (parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${words[0].data.trim()}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""


def test_from_the_catalogue_to_an_order_that_is_followed_live(look: Look, server: Server) -> None:
    page = look("/")
    page.get_by_role("link", name="Coat hook").click()
    viewer = page.locator("model-viewer")
    viewer.scroll_into_view_if_needed()
    expect(viewer).to_have_js_property("loaded", True, timeout=60_000)
    place = page.get_by_label("Latitude")
    before = place.input_value()
    page.locator(".map").click(position={"x": 60, "y": 150})
    assert place.input_value() != before
    page.locator("#ask").get_by_role("link", name="Sägewerk Süd").click()
    assert place.input_value() == "41.3630"
    page.get_by_role("button", name="See labs and prices").click()
    expect(page.locator(".map path.leaflet-interactive, .map svg path")).not_to_have_count(0)
    expect(page.locator("main")).to_contain_text("4.0 km from you, on Printer 1")
    expect(page.locator("main")).to_contain_text("Sägewerk Süd has no machine for 3D printing")
    page.get_by_label("Your name").fill("Ana Puig")
    page.get_by_role("button", name="Show me what I agree to").click()
    expect(page.locator("#words")).to_contain_text("Ana Puig orders 1 × Coat hook")
    page.get_by_role("button", name="I agree").click()
    expect(page).to_have_url(re.compile("/orders/o-"))
    page.evaluate("window.sameDocument = true")
    piece = page.locator(".pieces")
    expect(piece).to_contain_text("Printer 1 at Atelier Nord, ready about", timeout=90_000)

    async def offer(unit: Unit) -> None:
        (job,) = await orders.planned_jobs(unit)
        await orders.offer_job(unit, job.id, "a-2")

    server.do(offer)
    expect(piece).to_contain_text("at a lab", timeout=60_000)
    assert page.evaluate("window.sameDocument")


def test_the_labs_page_follows_without_reload_and_after_a_restart(
    look: Look, server: Server
) -> None:
    page = look("/labs", forgives=("net::ERR_", "htmx:sse:error"))
    page.evaluate("window.sameDocument = true")
    for name in ("Third", "Fourth"):
        server.post("/api/labs", {"name": name, "lat": 41.4, "lon": 2.2})
        expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=60_000)
        if name == "Third":
            server.stop(signal.SIGKILL)
            server.start()
    assert page.evaluate("window.sameDocument")


def test_reading_and_asking_work_without_scripts(look: Look, server: Server) -> None:
    page = look("/", java_script_enabled=False)
    page.get_by_role("link", name="Coat hook").click()
    expect(page.locator("article img")).to_be_visible()
    expect(page.locator(".map")).to_be_hidden()
    page.locator("#ask").get_by_role("link", name="Atelier Nord").click()
    assert page.get_by_label("Latitude").input_value() == "41.3990"
    page.get_by_role("button", name="See labs and prices").click()
    expect(page.locator("main")).to_contain_text("0.0 km from you")
    for path in ("/labs", "/orders", f"/p/{server.passport}", "/api/docs"):
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()


def test_every_page_fits_every_screen_and_can_be_read(look: Look, server: Server) -> None:
    page = look("/orders", reduced_motion="reduce")  # colours change at once
    order = page.locator("main a").first.get_attribute("href")
    quote = _quote(page)
    made = f"/p/{server.passport}"
    pages = ("/", "/designs/coat-hook", "/labs", "/orders", order, f"{order}/delivery-note")
    for path in (*pages, quote, made, "/api/docs"):
        page.goto(path or "")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(FAINT) == [], f"{path}, {scheme}"
        for width in (360, 768, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} wide on {width}"


def test_no_name_on_a_map_covers_another(look: Look) -> None:
    page = look("/designs/coat-hook")
    page.set_viewport_size({"width": 360, "height": 900})
    page.reload()
    south = page.get_by_role("link", name="Sägewerk Süd").get_attribute("data-at")
    page.get_by_label("Latitude").fill(str(float((south or "").split(",")[0]) + 0.01))
    page.keyboard.press("Tab")
    names = ("you", "Sägewerk Süd", "Atelier Nord")
    tips = [page.locator(".leaflet-tooltip", has_text=name) for name in names]
    boxes = [tip.bounding_box() for tip in tips]
    for one, other in combinations([box for box in boxes if box], 2):
        across = min(b["x"] + b["width"] for b in (one, other)) - max(one["x"], other["x"])
        down = min(b["y"] + b["height"] for b in (one, other)) - max(one["y"], other["y"])
        assert min(across, down) <= 0
    assert all(boxes)


def _quote(page: Page) -> str:
    page.goto("/designs/coat-hook")
    page.get_by_role("button", name="See labs and prices").click()
    page.wait_for_url("**/quotes/*")
    return page.url


def test_the_keyboard_reaches_everything_and_shows_where_it_is(look: Look) -> None:
    page = look("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached = []
    while len(reached) < 60 and not (reached and "/designs/" in (reached[-1][0] or "")):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const at = document.activeElement, s = getComputedStyle(at);"
                " return [at.name || at.href || at.type,"
                " s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2"
                " || s.boxShadow !== 'none'] }"
            )
        )
    assert [name for name, _ in reached][:4] == ["q", "process", "fits", "submit"]
    assert reached[-1][0].endswith("/designs/coat-hook")
    assert all(seen for _, seen in reached)
