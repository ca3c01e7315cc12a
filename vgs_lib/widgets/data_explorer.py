"""What the explorer of a data set knows: the filters, a page of things, the chosen thing and the recording that plays.

No widget library here. Each message is a small JSON-able dict and the byte buffers that belong to it.
"""

from collections.abc import Sequence

from vgs_lib.audio import SAMPLE_RATE
from vgs_lib.data import catalogue
from vgs_lib.data.catalogue import Recording, Thing
from vgs_lib.errors import DataError, VgsError
from vgs_lib.widgets import buffers

PAGE = 24  # things shown at once
THUMBNAIL, LARGE = 112, 320  # pixels of the longer side


class DataExplorerController:
    """Filter things by category, language, speaker and text; look at one; play who says it.

    Args:
        things: of `vgs_lib.data.catalogue.of_stamps` or ``of_manifest``.
    """

    def __init__(self, things: Sequence[Thing]):
        if not things:
            raise DataError("things: found none, expected at least one; is the manifest empty?")
        self.things = tuple(things)
        self._by_id = {thing.id: thing for thing in self.things}
        self.category: tuple[str, ...] = ()
        self.language = self.speaker = self.text = ""
        self.page = 0
        self.found = list(self.things)
        self.chosen = self.things[0]
        self.recording: Recording | None = None  # the one played last
        self.problem = ""
        self._thumbnails: dict[str, bytes] = {}

    def filter(self, *, category: Sequence[str] = (), language: str = "", speaker: str = "", text: str = "") -> None:
        """Show the things that pass every filter given, from the first page on; the first of them is chosen."""
        self.category, self.language, self.speaker, self.text = tuple(category), language, speaker, text
        wanted = {"category": self.category, "language": language, "speaker": speaker, "text": text}
        self.found, self.page = catalogue.select(self.things, **wanted), 0
        if self.found and self.chosen not in self.found:
            self.chosen = self.found[0]
        self.recording, self.problem = None, ""

    def turn(self, page: int) -> None:
        """Go to a page; beyond the last one is the last one."""
        self.page = max(0, min(page, self.num_pages - 1))

    def choose(self, thing_id: str) -> None:
        """Look at a thing."""
        if thing_id not in self._by_id:
            raise DataError(f"there is no thing {thing_id!r} in this data set")
        self.chosen, self.recording, self.problem = self._by_id[thing_id], None, ""

    @property
    def num_pages(self) -> int:
        """How many pages the things that were found fill; one if there are none."""
        return max(1, -(-len(self.found) // PAGE))

    @property
    def listed(self) -> list[str]:
        """What ``recordings`` are of: thing, language, speaker. A view may still show others when it asks for one."""
        return [self.chosen.id, self.language, self.speaker]

    @property
    def recordings(self) -> list[Recording]:
        """The recordings of the chosen thing that pass the filters of language and speaker."""
        wanted = {"language": self.language, "speaker": self.speaker}
        return [one for one in self.chosen.recordings if catalogue.fits(one, **wanted)]

    def options(self) -> dict:
        """What can be filtered by, with counts: of things for categories, of recordings for the others."""
        groups: dict[str, dict[str, int]] = {}
        for who in catalogue.speakers(self.things, person=True).values():
            for speaker, count in who.items():
                people = groups.setdefault("People", {})
                people[speaker] = people.get(speaker, 0) + count
        for split, who in catalogue.speakers(self.things, person=False).items():
            groups[f"Synthetic voices, split {split}"] = who
        return {
            "categories": [[list(path), count] for path, count in catalogue.categories(self.things).items()],
            "languages": list(catalogue.languages(self.things).items()),
            "speakers": [[group, list(who.items())] for group, who in groups.items()],
        }

    def page_message(self, *, options: bool = False) -> tuple[dict, list[bytes]]:
        """The things of this page, one JPEG for each; with ``options`` also what can be filtered by."""
        shown = self.found[self.page * PAGE : (self.page + 1) * PAGE]
        content = {
            "type": "page",
            "items": [{"id": thing.id, "title": thing.title} for thing in shown],
            "page": self.page,
            "pages": self.num_pages,
            "found": len(self.found),
            "total": len(self.things),
            "filters": {
                "category": list(self.category),
                "language": self.language,
                "speaker": self.speaker,
                "text": self.text,
            },
        }
        if options:
            content["options"] = self.options()
        return content, [self._thumbnail(thing) for thing in shown]

    def thing_message(self) -> tuple[dict, list[bytes]]:
        """The chosen thing with its names and recordings, and its picture as JPEG (none if it cannot be read)."""
        thing, problem, pictures = self.chosen, self.problem, []
        try:
            pictures.append(buffers.jpeg(thing.load(), longest=LARGE, quality=90))
        except VgsError as error:
            problem = str(error)
        content = {
            "type": "thing",
            "id": thing.id,
            "title": thing.title,
            "category": list(thing.category),
            "names": dict(thing.names),
            "list": self.listed,
            "recordings": [
                {
                    "language": one.language,
                    "speaker": one.speaker,
                    "split": one.split,
                    "text": one.text,
                    "person": one.person,
                }
                for one in self.recordings
            ],
            "problem": problem,
        }
        return content, pictures

    def play(self, index: int) -> tuple[dict, list[bytes]]:
        """The sound of the recording at ``index`` of ``recordings`` as WAV; what is wrong becomes a sentence."""
        try:
            self.recording = self.recordings[index]
            waveform = self.recording.load()
        except IndexError:
            self.problem = f"There is no recording number {index}."
        except VgsError as error:
            self.problem = str(error)
        else:
            self.problem = ""
            content = {
                "type": "sound",
                "index": index,
                "title": self.recording.text or self.chosen.title,
                "duration": len(waveform) / SAMPLE_RATE,
                "words": [list(word) for word in self.recording.words],
            }
            return content, [buffers.wav(waveform)]
        return {"type": "problem", "sentence": self.problem}, []

    def _thumbnail(self, thing: Thing) -> bytes:
        """A small JPEG; b"" where the picture cannot be read."""
        if thing.id not in self._thumbnails:
            try:
                self._thumbnails[thing.id] = buffers.jpeg(thing.load(), longest=THUMBNAIL)
            except VgsError:
                self._thumbnails[thing.id] = b""
        return self._thumbnails[thing.id]
