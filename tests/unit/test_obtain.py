"""Where the stamps come from: the archive given, what is there, the system, apt-get, upstream; and damage."""

import io
import subprocess
import tarfile
import urllib.error

import pytest

from vgs_lib.__main__ import main
from vgs_lib.data import obtain
from vgs_lib.data.obtain import stamps_tree
from vgs_lib.errors import DataError, DownloadError

PLACE = "usr/share/tuxpaint/stamps"


def tarball(*names: str, compression: str = "gz", filler: int = 20_000) -> bytes:
    """A tar of files; ``filler`` bytes of each keep damage in the middle out of the headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:
        for number, name in enumerate(names):
            data = bytes((i * i * 31 + i // 7 + number) % 251 for i in range(filler))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def stamps_tarball(prefix: str = PLACE, **options) -> bytes:
    names = ("animals/cat.txt", "food/pear.txt", "vehicles/car.txt", "symbols/a.txt")
    return tarball(*(f"{prefix}/{name}" for name in names), **options)


def package(data: bytes, *, ending: str = "xz") -> bytes:
    """A Debian package: an ``ar`` archive; its second member has an odd length, as tar.gz often has."""

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    return (
        b"!<arch>\n"
        + member("debian-binary", b"2.0\n")
        + member("control.tar.gz", b"odd")
        + member(f"data.tar.{ending}", data)
    )


@pytest.fixture
def offline(monkeypatch):
    """No apt-get, no connection."""

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no connection")

    monkeypatch.setattr(obtain.shutil, "which", lambda program: None)
    monkeypatch.setattr(obtain.urllib.request, "urlopen", refuse)


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compression", ["xz", "gz"])
def test_an_archive_that_is_given_is_unpacked(tmp_path, offline, compression):
    tarred = stamps_tarball(compression=compression)
    for name, data in (
        (f"stamps.tar.{compression}", stamps_tarball("tuxpaint-stamps-2022.06.04/stamps", compression=compression)),
        ("stamps.deb", package(tarred, ending=compression)),
        ("renamed.bin", package(tarred, ending=compression)),
    ):
        folder = tmp_path / name.replace(".", "-")
        tree = stamps_tree(folder, archive=put(tmp_path / name, data))
        assert tree.is_relative_to(folder)
        assert sorted(p.name for p in tree.iterdir()) == ["animals", "food", "symbols", "vehicles"]
        assert (tree / "food/pear.txt").stat().st_size == 20_000
        assert stamps_tree(folder, system=()) == tree, "what is there is found again"


def test_a_system_folder_is_used_where_it_is_and_only_if_whole(tmp_path, offline):
    half, whole = tmp_path / "half", tmp_path / "whole"
    (half / "animals").mkdir(parents=True)
    for name in ("animals", "food", "vehicles"):
        (whole / name).mkdir(parents=True)
    assert stamps_tree(tmp_path / "set", system=(tmp_path / "no", half, whole)) == whole


def test_the_debian_package_is_downloaded_without_root(tmp_path, monkeypatch):
    calls = []

    def apt_get(command, *, cwd, **options):
        calls.append(command)
        put(cwd / f"{obtain.PACKAGE}_2022_all.deb", package(stamps_tarball(compression="xz")))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(obtain.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(obtain.subprocess, "run", apt_get)
    tree = stamps_tree(tmp_path / "set", system=())
    assert tree.is_relative_to(tmp_path / "set/source")
    assert stamps_tree(tmp_path / "set", system=()) == tree
    assert calls == [["apt-get", "download", obtain.PACKAGE]]


def test_upstream_is_asked_where_apt_get_fails(tmp_path, monkeypatch):
    asked = []

    def apt_get(command, **options):
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package\n")

    def upstream(url, timeout):
        asked.append(url)
        return io.BytesIO(stamps_tarball("tuxpaint-stamps/stamps"))

    monkeypatch.setattr(obtain.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(obtain.subprocess, "run", apt_get)
    monkeypatch.setattr(obtain.urllib.request, "urlopen", upstream)
    tree = stamps_tree(tmp_path / "set", system=())
    assert (tree / "animals/cat.txt").is_file() and asked == [obtain.UPSTREAM]
    assert list((tmp_path / "set/downloads").glob("*.partial")) == []


def test_when_nothing_works_every_attempt_and_the_way_out_are_named(tmp_path, offline):
    with pytest.raises(DownloadError) as error:
        stamps_tree(tmp_path, system=())
    for part in ("apt-get is not on this machine", "no connection", obtain.UPSTREAM, obtain.PACKAGE, "--archive FILE"):
        assert part in str(error.value)


def test_a_download_that_breaks_off_is_no_archive(tmp_path, offline, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 0:
                raise ConnectionResetError("connection reset by peer")
            return super().read(10)

    monkeypatch.setattr(obtain.urllib.request, "urlopen", lambda url, timeout: Broken(stamps_tarball()))
    with pytest.raises(DownloadError, match="connection reset by peer"):
        stamps_tree(tmp_path, system=())
    assert not (tmp_path / "source").exists()
    assert not (tmp_path / "downloads" / obtain.UPSTREAM.rsplit("/", 1)[1]).exists()


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 64]) + data[middle + 64 :]


@pytest.mark.parametrize(
    "damage", [lambda x: x[: len(x) // 2], lambda x: x[:-4], flipped, lambda x: b"", lambda x: b"no archive" * 99]
)
@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "deb of gz", "deb of xz"])
def test_a_damaged_archive_is_named(tmp_path, offline, kind, damage):
    data = stamps_tarball(compression=kind[-2:])
    data = package(damage(data), ending=kind[-2:]) if "deb" in kind else damage(data)
    archive = put(tmp_path / f"stamps.{kind.split()[0]}", data)
    with pytest.raises(DataError) as error:
        stamps_tree(tmp_path / "set", archive=archive)
    assert str(archive) in str(error.value)
    assert not (tmp_path / "set/source").exists() and not (tmp_path / "set/.source.partial").exists()


def test_a_package_of_zstd_is_unpacked_by_dpkg_deb(tmp_path, monkeypatch):
    archive = put(tmp_path / "stamps.deb", package(b"what only dpkg-deb reads", ending="zst"))
    asked = []

    def dpkg_deb(command, *, stdout, **options):
        asked.append(command)
        stdout.write(stamps_tarball(compression=""))
        return subprocess.CompletedProcess(command, 0, None, b"")

    def broken(command, **options):
        return subprocess.CompletedProcess(command, 2, None, b"dpkg-deb: error: truncated\n")

    monkeypatch.setattr(obtain.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(obtain.subprocess, "run", dpkg_deb)
    tree = stamps_tree(tmp_path / "set", archive=archive)
    assert (tree / "food/pear.txt").stat().st_size == 20_000
    assert asked == [["dpkg-deb", "--fsys-tarfile", str(archive)]]
    monkeypatch.setattr(obtain.subprocess, "run", broken)
    with pytest.raises(DataError, match=r"stamps\.deb: damaged .*dpkg-deb: error: truncated"):
        stamps_tree(tmp_path / "set", archive=archive)
    assert (tree / "food/pear.txt").is_file()


def test_without_dpkg_deb_a_package_of_zstd_is_an_error_that_says_so(tmp_path, offline):
    archive = put(tmp_path / "stamps.deb", package(b"", ending="zst"))
    with pytest.raises(DataError, match=r"stamps\.deb: .*zstd.*--archive"):
        stamps_tree(tmp_path / "set", archive=archive)


def test_a_disk_that_is_full_is_not_blamed_on_the_archive(tmp_path, offline, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    archive = put(tmp_path / "stamps.tar.gz", stamps_tarball())
    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    with pytest.raises(DataError, match=r"cannot be unpacked into .*No space left") as error:
        stamps_tree(tmp_path / "set", archive=archive)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("keep", [4, 8, 40, 68, 100, 150])
def test_a_package_cut_off_anywhere_is_named(tmp_path, offline, keep):
    archive = put(tmp_path / "stamps.deb", package(stamps_tarball(compression="xz"))[:keep])
    with pytest.raises(DataError, match=r"stamps\.deb"):
        stamps_tree(tmp_path / "set", archive=archive)


def test_a_package_with_a_damaged_header_is_named(tmp_path, offline):
    data = package(stamps_tarball(compression="xz"))
    archive = put(tmp_path / "stamps.deb", data[:56] + b"?" * 10 + data[66:])  # the size of the first member
    with pytest.raises(DataError, match=r"stamps\.deb"):
        stamps_tree(tmp_path / "set", archive=archive)


def test_a_wrong_archive_is_named_and_does_not_take_the_place_of_a_good_one(tmp_path, offline):
    folder = tmp_path / "set"
    good = stamps_tree(folder, archive=put(tmp_path / "good.tar.gz", stamps_tarball()))
    wrong = put(tmp_path / "wrong.tar.gz", tarball("music/song.txt"))
    with pytest.raises(DataError, match=r"wrong\.tar\.gz: no stamps inside, expected folders animals"):
        stamps_tree(folder, archive=wrong)
    assert (good / "animals/cat.txt").is_file() and stamps_tree(folder, system=()) == good


def test_a_new_archive_takes_the_place_of_the_old_one(tmp_path, offline):
    stamps_tree(tmp_path, archive=put(tmp_path / "old.tar.gz", stamps_tarball("old")))
    tree = stamps_tree(tmp_path, archive=put(tmp_path / "new.tar.gz", stamps_tarball("new", filler=5)))
    assert tree == tmp_path / "source/new" and (tree / "food/pear.txt").stat().st_size == 5
    assert not (tmp_path / "source/old").exists()


def test_unpacking_that_was_cut_off_is_begun_anew(tmp_path, offline):
    put(tmp_path / ".source.partial/old/animals/cat.txt", b"half")
    with pytest.raises(DownloadError):
        stamps_tree(tmp_path, system=())
    tree = stamps_tree(tmp_path, archive=put(tmp_path / "a.tar.gz", stamps_tarball()))
    assert not (tmp_path / ".source.partial").exists() and not (tmp_path / "source/old").exists()
    assert tree == tmp_path / "source" / PLACE


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt"])
def test_no_archive_writes_outside_its_folder(tmp_path, offline, name):
    files = [f"{PLACE}/{folder}/x.txt" for folder in ("animals", "food", "vehicles")]
    archive = put(tmp_path / "in/evil.tar.gz", tarball(*files, name))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"evil\.tar\.gz"):
        stamps_tree(tmp_path / "in/set", archive=archive)
    assert sorted(tmp_path.iterdir()) == before and not list(tmp_path.rglob("evil.txt"))


def test_an_archive_that_is_missing_is_one_sentence_at_the_command_line(tmp_path, capsys):
    missing = tmp_path / "stamps.deb"
    assert main(["data", "stamps", "--folder", str(tmp_path / "set"), "--archive", str(missing)]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("DataError:") and f"{missing}: no such archive" in message
