# ruff: noqa: INP001
"""Takes the README's pictures from a running demo: `./run demo`, then `python docs/pictures.py`.

It acts as a visitor with a browser would: it asks for one quote, and orders nothing.
"""

import argparse
import io
import json
import re
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE: Final = Path(__file__).parent / "pictures"
FLAGS: Final = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MOST_BYTES: Final = 150_000
DESIGN: Final = "table-lantern"


def main() -> int:
    """Exit status 0 when every picture was taken, 1 when the demo has nothing to show yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000", help="of the demo")
    parser.add_argument("--chromium", default=shutil.which("chromium"), metavar="PATH")
    args = parser.parse_args()
    order = next((o for o in _asked(args.url, "/api/orders") if _is_shown(o)), None)
    if order is None:
        sys.stderr.write(f"nobody has ordered the {DESIGN} at {args.url}: start ./run demo\n")
        return 1
    HERE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=FLAGS)
        take_all(browser, args.url, order)
        browser.close()
    return 0


def take_all(browser: Browser, url: str, order: dict[str, Any]) -> None:
    """Every picture, in the order in which a maker comes by."""
    page = browser.new_page(base_url=url, viewport={"width": 1200, "height": 860})
    page.set_default_timeout(120_000)
    take(page, "/", "catalogue")
    page.goto(f"/designs/{DESIGN}")
    for viewer in page.locator("model-viewer").all():
        viewer.scroll_into_view_if_needed()
        expect(viewer).to_have_js_property("loaded", True, timeout=120_000)
    page.keyboard.press("Home")
    page.wait_for_timeout(1500)
    keep(page, "design")
    page.get_by_label("Latitude").fill("41.3809")
    page.get_by_label("Longitude").fill("2.1500")
    page.get_by_role("button", name="See labs and prices").click()
    page.wait_for_url(re.compile("/quotes/"))
    keep(page, "quote")
    take(page, f"/orders/{order['id']}", "order")
    take(page, "/labs", "labs")
    makes = _asked(url, f"/api/orders/{order['id']}/makes")
    made = next((make for make in makes if make["verdict"] == "conforms"), None)
    if made:
        take(page, f"/p/{made['id']}", "passport")
    page.close()


def take(page: Page, path: str, name: str) -> None:
    page.goto(path)
    page.wait_for_timeout(1500)  # pictures and maps draw themselves
    keep(page, name)


def keep(page: Page, name: str) -> None:
    """What is seen now, in few enough colours to stay small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = HERE / f"{name}.png"
    picture.quantize(200).save(path, optimize=True)
    size = path.stat().st_size
    assert size <= MOST_BYTES, f"{path} has {size} bytes"
    sys.stdout.write(f"{path.name}: {size // 1000} kB\n")


def _is_shown(order: dict[str, Any]) -> bool:
    return order["title"].lower().replace(" ", "-") == DESIGN


def _asked(url: str, path: str) -> Any:  # noqa: ANN401
    with urllib.request.urlopen(f"{url}{path}") as answer:  # noqa: S310 - the user's own demo
        return json.load(answer)


if __name__ == "__main__":
    raise SystemExit(main())
