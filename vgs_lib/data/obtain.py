"""Obtains the Tux Paint stamps: the system's folder, the Debian package, the upstream tarball or a file named by hand.

Whatever the source, the result is the folder that holds ``animals``, ``food`` and the other categories.
"""

import io
import logging
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vgs_lib.errors import DataError, DownloadError

PACKAGE = "tuxpaint-stamps-default"
UPSTREAM = (
    "https://downloads.sourceforge.net/project/tuxpaint/tuxpaint-stamps/2022-06-04/tuxpaint-stamps-2022.06.04.tar.gz"
)
SYSTEM_FOLDERS = (
    Path("/usr/share/tuxpaint/stamps"),
    Path("/usr/local/share/tuxpaint/stamps"),
    Path("/opt/homebrew/share/tuxpaint/stamps"),
    Path("/Applications/TuxPaint.app/Contents/Resources/share/tuxpaint/stamps"),
)
_SIGNS = ("animals", "food", "vehicles")
_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)  # what unpacking raises

log = logging.getLogger(__name__)


def stamps_tree(folder: Path, *, archive: Path | None = None, system: tuple[Path, ...] = SYSTEM_FOLDERS) -> Path:
    """The folder of the stamps, obtained into ``folder`` if it is not there yet.

    Tried in order: ``archive`` if given (a ``.deb`` or ``.tar.gz``), what ``folder`` holds already, ``system``
    folders, ``apt-get download``, the upstream tarball. Raises :class:`DownloadError` naming every attempt.
    """
    if archive is not None:
        return _unpack(Path(archive), folder)
    if (done := _find(folder / "source")) is not None:
        return done
    for place in system:
        if all((place / sign).is_dir() for sign in _SIGNS):
            return place
    attempts = []
    for name, obtain in (("apt-get download", _from_debian), ("the upstream tarball", _from_upstream)):
        try:
            return _unpack(obtain(folder), folder)
        except (DownloadError, DataError) as error:
            log.info("%s: %s", name, error)
            attempts.append(f"{name}: {error}")
    raise DownloadError(
        "the Tux Paint stamps cannot be obtained (" + "; ".join(attempts) + f"). Install the package {PACKAGE}, or "
        f"download it or {UPSTREAM} elsewhere and pass it with --archive FILE"
    )


def _find(unpacked: Path) -> Path | None:
    """The tree of stamps somewhere in ``unpacked``, or None."""
    for sign in unpacked.rglob("animals"):
        if all((sign.parent / other).is_dir() for other in _SIGNS):
            return sign.parent
    return None


def _from_debian(folder: Path) -> Path:
    if shutil.which("apt-get") is None:
        raise DownloadError("apt-get is not on this machine")
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "download", PACKAGE], cwd=downloads, capture_output=True, text=True)
    found = sorted(downloads.glob(f"{PACKAGE}_*.deb"))
    if done.returncode != 0 or not found:
        raise DownloadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it downloaded nothing")
    return found[-1]


def _from_upstream(folder: Path) -> Path:
    target = folder / "downloads" / UPSTREAM.rsplit("/", 1)[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        with urllib.request.urlopen(UPSTREAM, timeout=30) as reply, open(partial, "wb") as file:
            shutil.copyfileobj(reply, file)
    except OSError as error:
        raise DownloadError(f"{UPSTREAM}: {error}") from error
    partial.rename(target)
    return target


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack ``archive`` under ``folder/source``, which appears, or is replaced, only when complete."""
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive; expected a .deb or .tar.gz of {PACKAGE}")
    partial, source = folder / ".source.partial", folder / "source"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with _tar_of(archive) as file, tarfile.open(fileobj=file) as tar:
            _extract(tar, partial)
            while tar.fileobj.read(1 << 20):  # to the end, where the checksum is: one that was cut off has none
                pass
        tree = _find(partial)
        if tree is None:
            raise DataError(f"{archive}: no stamps inside, expected folders {', '.join(_SIGNS)}; is it {PACKAGE}?")
        shutil.rmtree(source, ignore_errors=True)
        partial.rename(source)
    except _DAMAGE as error:
        if getattr(error, "errno", None):  # the system's word, not that of a decoder
            raise DataError(f"{archive}: cannot be unpacked into {folder} ({error})") from error
        raise DataError(f"{archive}: damaged or not an archive ({error}); delete it and run again") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return source / tree.relative_to(partial)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack into ``folder`` and nowhere else, on Python 3.11.0 to 3.11.3 too, which have no filters of their own."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter="data")
        return
    for member in tar:
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name!r} is no plain file inside the archive")
        tar.extract(member, folder, set_attrs=False)


@contextmanager
def _tar_of(archive: Path) -> Iterator[IO[bytes]]:
    """The tar inside a ``.deb`` (an ``ar`` archive with a member ``data.tar.*``), or the file itself."""
    with open(archive, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            file.seek(0)
            yield file
            return
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("ascii", "replace").strip(" /"), int(header[48:58])
            if size < 0:
                raise ValueError(f"a member of {size} bytes")
            if name == "data.tar.zst":
                with _unzstd(archive) as tar:
                    yield tar
                return
            if name.startswith("data.tar"):
                yield io.BytesIO(file.read(size))
                return
            file.seek(size + size % 2, io.SEEK_CUR)
    raise DataError(f"{archive}: a Debian package without a data.tar; delete it and run again")


@contextmanager
def _unzstd(archive: Path) -> Iterator[IO[bytes]]:
    """The tar of a Debian package that is compressed with zstd, which Python cannot read yet."""
    if shutil.which("dpkg-deb") is None:
        raise DataError(
            f"{archive}: its data.tar.zst needs dpkg-deb to be unpacked from zstd, which is not on this machine; "
            f"pass {UPSTREAM.rsplit('/', 1)[1]} with --archive instead"
        )
    with tempfile.TemporaryFile() as tar:
        done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=tar, stderr=subprocess.PIPE)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(said[-1] if said else f"dpkg-deb ended with {done.returncode}")
        tar.seek(0)
        yield tar
