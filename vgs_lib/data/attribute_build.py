"""Says the words of described things with every voice, into the data set's folder (``vgs_lib.data.attribute_speech``).

A voice's folder appears only when complete, so a build that was cut off goes on with the voices that are missing.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from vgs_lib.data import voices
from vgs_lib.data.attribute_speech import folder_of, texts
from vgs_lib.data.attributes import NOUNS
from vgs_lib.data.stamps import Stamps
from vgs_lib.data.stamps_build import Progress, speak_voices
from vgs_lib.data.voices import engine_available


def build_speech(stamps: Stamps, nouns: Sequence[str] = NOUNS, *, jobs: int | None = None) -> Iterator[Progress]:
    """Build the clips, yielding :class:`Progress`; voices whose engine is not installed are left out.

    ``jobs``: voices that speak at once. Raises :class:`DataError` naming the voice that could not speak.
    """
    speaking = [v for v in voices.VOICES if engine_available(v.engine)]
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs or os.cpu_count())
    try:
        yield from speak_voices(pool, speaking, texts(stamps, nouns), folder_of(stamps), stop)
    finally:  # also where the generator is closed
        stop.set()
        pool.shutdown(cancel_futures=True)
