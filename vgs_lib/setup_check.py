"""Names the programs and system libraries that the project can use and that are not there.

``make lab`` and ``make test`` call it: one sentence for each missing one, with the command that installs it.
Nothing is installed, and none of them is needed for the tour to open, so the exit status is always 0.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """Something a package manager installs: what is lost without it, its packages, and how it is found.

    ``homebrew`` is None where macOS needs no package (sounddevice's wheel for macOS holds PortAudio).
    """

    name: str
    loss: str
    debian: str
    homebrew: str | None
    commands: tuple[str, ...] = ()
    library: str | None = None
    places: tuple[str, ...] = ()

    def is_there(self, which: Callable = shutil.which, library: Callable = find_library) -> bool:
        """Whether one of its commands, its library or one of its files is found."""
        if any(which(command) for command in self.commands):
            return True
        if self.library is not None and library(self.library):
            return True
        return any(os.path.exists(place) for place in self.places)


PROGRAMS = (
    Program(
        "espeak-ng",
        "its voices are left out of the English speech that is synthesised",
        debian="espeak-ng",
        homebrew="espeak-ng",
        commands=("espeak-ng",),
    ),
    Program(
        "flite",
        "its voices are left out of the English speech that is synthesised",
        debian="flite",
        homebrew="flite",
        commands=("flite",),
    ),
    Program(
        "PortAudio",
        "the notebooks cannot record from this machine's own microphone (the browser's still works)",
        debian="libportaudio2",
        homebrew=None,
        library="portaudio",
    ),
    Program(
        "Chromium",
        "the browser tests cannot run (nothing else needs it)",
        debian="chromium",
        homebrew="--cask chromium",
        commands=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
        places=("/Applications/Chromium.app", "/Applications/Google Chrome.app"),
    ),
)


def install_command(program: Program, *, platform: str = sys.platform, root: bool | None = None) -> str:
    """The command that installs ``program`` with Homebrew on macOS, with apt-get elsewhere."""
    if platform == "darwin":
        return f"brew install {program.homebrew}"
    root = os.geteuid() == 0 if root is None else root
    return f"{'' if root else 'sudo '}apt-get install {program.debian}"


def missing_sentences(
    *,
    which: Callable = shutil.which,
    library: Callable = find_library,
    platform: str = sys.platform,
    root: bool | None = None,
) -> Iterator[str]:
    """One sentence for each program that is missing: its name, what is lost, the command that installs it."""
    for program in PROGRAMS:
        needs_no_package = platform == "darwin" and program.homebrew is None
        if needs_no_package or program.is_there(which, library):
            continue
        command = install_command(program, platform=platform, root=root)
        yield f"{program.name} is not installed, so {program.loss}: `{command}` installs it."


def main() -> int:
    """Prints the sentences; always 0, because nothing named here is needed to go on."""
    for sentence in missing_sentences():
        print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
