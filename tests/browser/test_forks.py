"""A fork by its button, a change proposed to it and accepted, in a real browser without scripts."""

import os
import re
import struct
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Look, Server
from tests.browser.test_stories import FAINT

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]


def taller(stl: bytes, by: float) -> bytes:
    """A binary STL with every height multiplied."""
    made = bytearray(stl)
    for triangle in range(struct.unpack_from("<I", stl, 80)[0]):
        for corner in range(3):
            at = 84 + triangle * 50 + 12 + corner * 12 + 8
            struct.pack_into("<f", made, at, struct.unpack_from("<f", stl, at)[0] * by)
    return bytes(made)


def shoot(page: Page, name: str) -> None:
    """A picture of the whole page, where somebody wants to look at it."""
    if folder := os.environ.get("COSMOLOCAL_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_fork_propose_look_and_accept_without_scripts(
    look: Look, server: Server, tmp_path: Path
) -> None:
    page = look("/designs/coat-hook", java_script_enabled=False)
    fork = page.locator("section[aria-labelledby=fork]")
    fork.get_by_label("Your name").fill("Bo Lund")
    fork.get_by_role("button", name="Fork this design").click()
    expect(page.locator("h1")).to_have_text("Coat hook fork")
    key = page.locator("code.key").inner_text()
    shoot(page, "forked")
    page.get_by_role("link", name="look at it").click()
    expect(page.locator(".ancestors")).to_contain_text("Coat hook")
    shoot(page, "fork")

    release = httpx.get(f"{server.url}/api/designs/coat-hook-fork").json()
    part = release["release"]["parts"][0]
    file = f"{server.url}/releases/{release['sha256']}/files/{part['file_sha256']}"
    changed = tmp_path / part["file_name"]
    changed.write_bytes(taller(httpx.get(file).content, 1.2))
    page.get_by_role("link", name="Propose a change").click()
    page.get_by_label("Your name").fill("Cy Moss")
    page.get_by_label("What you changed").fill("A fifth taller,\nso that a bag stays on it.")
    page.get_by_label("The files you changed").set_input_files(changed)
    shoot(page, "propose")
    page.get_by_role("button", name="Propose", exact=True).click()
    expect(page.locator("code.key")).to_contain_text("proposal-")
    page.get_by_role("link", name="its own page").click()
    parts = page.locator("section[aria-labelledby=parts]")
    expect(parts.locator("img").nth(2)).to_have_js_property("naturalWidth", 960, timeout=60_000)
    row = parts.locator("tr", has_text=re.compile("volume"))
    expect(row).to_contain_text("+20.0 %")
    shoot(page, "proposal")
    there = page.url

    accept = page.locator("form[aria-labelledby=accept]")
    accept.get_by_label("Share that Cy Moss gets").fill("25")
    accept.get_by_label("Maintainer's key").fill(key)
    accept.get_by_role("button", name="Accept and publish").click()
    expect(page.locator("main")).to_contain_text("It became version 1.1.0")
    shoot(page, "accepted")
    page.get_by_role("link", name="version 1.1.0").click()
    expect(page.locator("section[aria-labelledby=made-by]")).to_contain_text("Cy Moss")
    expect(page.locator("section[aria-labelledby=made-by]")).to_contain_text("20.0 %")
    shoot(page, "released")

    for path in (there, f"{server.url}/designs/coat-hook-fork/proposals", page.url):
        readable(look, path.removeprefix(server.url))


def readable(look: Look, path: str) -> None:
    """Every word is seen in light and dark, and the page fits every screen."""
    page = look(path, reduced_motion="reduce")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT) == [], f"{path}, {scheme}"
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} wide on {width}"
