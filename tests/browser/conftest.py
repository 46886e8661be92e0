"""A listening, seeded server and a browser signed in to it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from facility.clock import SystemClock
from server.app import Server, build
from server.config import load_config
from server.kit.principal import Role
from tests.server.factories import make_user
from tests.server.web.conftest import PASSWORD
from tests.server.web.seed import Seeded, seed
from tests.support.peers import until_async


@dataclass(frozen=True, slots=True)
class Place:
    """The product with a day of history, listening."""

    server: Server
    seeded: Seeded

    @property
    def url(self) -> str:
        return self.server.url


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    overrides = {"data_dir": str(tmp_path / "data"), "http": {"port": 0}}
    config = load_config(overrides=overrides, environment={})
    async with build(config, clock=SystemClock(asyncio.sleep)) as server:
        await make_user(server, Role.ADMIN, login="chen", password=PASSWORD, language="en")
        seeded = await seed(server)
        # Pages only: jobs would find that the agent of the seed says nothing more.
        server.components = []
        running = asyncio.create_task(server.run())
        try:
            await asyncio.wait_for(server.started.wait(), 20)
            yield Place(server, seeded)
        finally:
            server.stop()
            await running


class Reader:
    """A person with a browser. `complaints`: what the browser's console and network held against us."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on(
            "request", lambda asked: None if asked.url.startswith((url, "data:")) else self.complaints.append(asked.url)
        )

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def sign_in(self) -> None:
        await self.go("/login")
        await self.page.fill("#login", "chen")
        await self.page.fill("#password", PASSWORD)
        await self.page.click("form[action='/login'] button")
        await self.page.wait_for_url(f"{self.url}/")

    async def curve_is_drawn(self) -> None:
        """Until the first chart has a curve: pixels in the line's colour on its canvas."""
        await self.page.wait_for_selector("[data-chart][data-drawn=yes] canvas")

        async def painted() -> bool:
            count: int = await self.page.evaluate(_PAINTED)
            return count > 200

        await until_async(painted, what="a curve on the canvas")

    async def width_beyond_the_screen(self) -> int:
        width: int = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width


# How many pixels of the first chart have the colour of the curve (the theme's primary colour).
_PAINTED = """() => {
  const canvas = document.querySelector('[data-chart] canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] < 60 && data[i + 1] > 90 && data[i + 1] < 140 && data[i + 2] > 110 && data[i + 3] > 200) count += 1;
  return count;
}"""


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    try:
        yield context
    finally:
        await context.close()


@pytest.fixture
async def reader(context: BrowserContext, place: Place) -> AsyncIterator[Reader]:
    """Signed in; at the end the browser must have had nothing to complain about."""
    reader = Reader(await context.new_page(), place.url)
    await reader.sign_in()
    yield reader
    assert reader.complaints == []
