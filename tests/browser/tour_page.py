"""The tour's page as a person sees it: what can be clicked and what is shown."""

import json
from dataclasses import dataclass

from playwright.sync_api import Page


@dataclass
class TourPage:
    """Reads and uses the widgets of one tour through the page alone."""

    page: Page

    @property
    def canvas(self):
        """The picture with the heat; its data attributes say what is drawn."""
        return self.page.locator(".vgs-picture")

    @property
    def status(self) -> str:
        """The sentence under the recorder."""
        return self.page.locator(".vgs-status").text_content()

    def data(self, name: str) -> str | None:
        """A data attribute of the canvas."""
        return self.canvas.get_attribute(f"data-{name}")

    def peak(self) -> tuple[float, float]:
        """The hottest place, (x, y), each 0-1."""
        return float(self.data("peak-x")), float(self.data("peak-y"))

    def wait_ready(self, seconds: float = 90) -> None:
        """Until all pictures are encoded."""
        self.wait_status("Ready", seconds)

    def wait_status(self, text: str, seconds: float = 30) -> None:
        """Until the status holds ``text``."""
        self.page.locator(".vgs-status", has_text=text).wait_for(timeout=seconds * 1000)

    def wait_shown(self, picture: str, title: str) -> None:
        """Until the heat of the prompt ``title`` is drawn over ``picture``."""
        self.page.wait_for_selector(f'.vgs-picture[data-picture="{picture}"][data-title="{title}"][data-peak-x]')

    def choose(self, picture: str) -> None:
        """Click a picture of the gallery or the best ones."""
        self.page.locator(f'.vgs-thumb[data-id="{picture}"]').first.click()
        self.page.wait_for_selector(f'.vgs-picture[data-picture="{picture}"]')

    def caption(self, picture: str) -> None:
        """Press the play button on a picture of the gallery."""
        self.page.locator(f'li[data-id="{picture}"] .vgs-caption-button').click()

    def record(self, seconds: float) -> None:
        """Record through the browser's microphone."""
        self.page.locator(".vgs-record").click()
        self.page.wait_for_selector('.vgs-recorder[data-recording="true"]')
        self.page.wait_for_timeout(seconds * 1000)
        self.page.locator(".vgs-record").click()
        self.page.wait_for_selector('.vgs-recorder[data-recording="false"]')

    def upload(self, name: str, data: bytes) -> None:
        """Open a sound file."""
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.locator('.vgs-recorder input[type="file"]').set_input_files(file)

    def failure(self, text: str) -> str:
        """Wait for a sentence with ``text`` that says what went wrong."""
        self.page.locator(".vgs-status.vgs-failed", has_text=text).wait_for()
        return self.status

    def scrub(self, seconds: float) -> None:
        """Move the time slider."""
        self.page.locator(".vgs-time").fill(f"{seconds:.2f}")
        self.page.wait_for_function(
            "time => Math.abs(document.querySelector('.vgs-picture').dataset.time - time) < 0.011", arg=seconds
        )

    def best(self) -> list[str]:
        """Ids of the best pictures as they are shown."""
        return self.page.locator(".vgs-compact .vgs-thumb").evaluate_all("all => all.map(e => e.dataset.id)")

    def answers(self) -> list[str]:
        """Ids of the best pictures that the canvas names."""
        return json.loads(self.data("answers"))
