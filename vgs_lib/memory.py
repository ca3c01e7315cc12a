"""Memory of a process that computes much: what is freed goes back to the system, where the C library can do that."""

import ctypes
import gc
import sys

_BIG = 1 << 17  # bytes
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # parameters of glibc's mallopt


def give_back() -> None:
    """Return freed memory to the system, and let blocks of 128 kB or more go back as soon as they are freed.

    Long encodings otherwise leave holes in the heap, which count as used: a third more at the peak. glibc alone knows
    how; elsewhere only Python's own garbage is collected. The setting holds for the whole process.
    """
    library = _c_library()
    if hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP_THRESHOLD, _BIG)
        library.mallopt(_ARENA_MAX, 1)  # threads share one heap
    gc.collect()
    trim()


def trim() -> None:
    """Return freed memory to the system, where the C library can do that; changes no setting and collects no garbage.

    For loops over small batches, where the quarter of a second of a collection would count.
    """
    library = _c_library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _c_library() -> ctypes.CDLL:
    """The C library of this process; to search for it by name would start a process, which counts as large as this."""
    return ctypes.CDLL(None)


def peak_bytes() -> int:
    """The most memory that this process has been resident in so far, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
