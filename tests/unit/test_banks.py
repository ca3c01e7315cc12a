"""Banks of features: exact values, filling that goes on where it was cut off, damage, other settings."""

import threading
import time

import numpy as np
import pytest
import torch
from filelock import FileLock

from vgs_lib.batches import banks
from vgs_lib.batches.banks import Bank, Filling
from vgs_lib.errors import DataError


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(banks, "SHARD", 4)


def item(index: int) -> tuple[torch.Tensor, ...]:
    """Two maps of different sizes and hidden states whose length depends on the item."""
    generator = torch.Generator().manual_seed(index)
    frames = 1 + (index * 5) % 7
    shapes = ((3, 4, 4), (2, 2, 2), (6, frames))
    return tuple(torch.randn(shape, generator=generator).half() for shape in shapes)


class Compute:
    """Makes items and remembers which; ``fail_at`` breaks off like a killed process."""

    def __init__(self, fail_at: int | None = None):
        self.made, self.fail_at = [], fail_at

    def __call__(self, items: range) -> list[tuple[torch.Tensor, ...]]:
        if self.fail_at in items:
            raise KeyboardInterrupt
        self.made += list(items)
        return [item(i) for i in items]


def check(bank: Bank, indices) -> None:
    for index in indices:
        found, expected = bank[index], item(index)
        assert len(found) == 3
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == torch.float16 and one.shape == other.shape
            assert torch.equal(one, other), f"item {index}"


def test_gives_back_maps_and_states_of_any_length_exactly(tmp_path):
    bank, compute = Bank("x", {"a": 1}, 10, folder=tmp_path), Compute()
    assert list(bank.fill(compute)) == [Filling("x", done, 10) for done in (4, 8, 10)]
    assert compute.made == list(range(10)) and len(bank) == 10
    check(bank, [9, 0, 3, 4, 7, 8, 0])
    check(Bank("x", {"a": 1}, 10, folder=tmp_path), range(10))
    assert bank.seconds >= 0


def test_what_is_given_may_be_changed_without_harm(tmp_path):
    bank = Bank("x", {}, 4, folder=tmp_path)
    list(bank.fill(Compute()))
    for tensor in bank[1]:
        tensor.zero_()
    check(bank, [1])


def test_values_of_another_type_are_stored_in_half_precision(tmp_path):
    bank = Bank("x", {}, 2, folder=tmp_path)
    values = torch.tensor([[1.0, 1 / 3, 1e-3]])
    list(bank.fill(lambda items: [(values * (i + 1),) for i in items]))
    assert torch.equal(bank[1][0], (values * 2).half())


def test_filling_goes_on_where_it_was_cut_off(tmp_path):
    bank, cut_off = Bank("x", {}, 14, folder=tmp_path), Compute(fail_at=9)
    with pytest.raises(KeyboardInterrupt):
        list(bank.fill(cut_off))
    assert cut_off.made == list(range(8))
    check(bank, range(8))
    again = Compute()
    events = list(Bank("x", {}, 14, folder=tmp_path).fill(again))
    assert again.made == list(range(8, 14)) and events[-1] == Filling("x", 14, 14)
    check(bank, range(14))
    nothing = Compute()
    list(bank.fill(nothing))
    assert nothing.made == []


def test_a_shard_that_was_cut_off_while_written_is_written_anew(tmp_path):
    bank = Bank("x", {}, 8, folder=tmp_path)
    list(bank.fill(Compute()))
    shard = bank.folder / "00001"
    partial = bank.folder / ".00001.partial"
    shard.rename(partial)
    (partial / "0.npy").write_bytes(b"half")
    again = Compute()
    list(Bank("x", {}, 8, folder=tmp_path).fill(again))
    assert again.made == [4, 5, 6, 7] and not partial.exists()
    check(Bank("x", {}, 8, folder=tmp_path), range(8))


def test_a_bank_that_grows_keeps_what_it_has_and_is_complete(tmp_path):
    list(Bank("x", {}, 6, folder=tmp_path).fill(Compute()))  # its last shard holds two of four
    bank, compute = Bank("x", {}, 11, folder=tmp_path), Compute()
    list(bank.fill(compute))
    assert set(range(6, 11)) <= set(compute.made) and not set(range(4)) & set(compute.made)
    check(bank, range(11))


@pytest.mark.parametrize("damage", ["cut", "lost", "no shard", "text"])
@pytest.mark.parametrize("file", ["lengths.npy", "2.npy", "0.npy"])
def test_a_damaged_shard_is_named_with_what_to_do(tmp_path, damage, file):
    list(Bank("x", {}, 8, folder=tmp_path).fill(Compute()))
    bank = Bank("x", {}, 8, folder=tmp_path)
    shard = bank.folder / "00001"
    path = shard / file
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "lost":
        path.unlink()
    elif damage == "text":
        path.write_text("no array")
    else:
        for one in shard.iterdir():
            one.unlink()
        shard.rmdir()
    with pytest.raises(DataError) as error:
        bank[5]
    assert str(shard) in str(error.value) and "delete the folder and fill it again" in str(error.value)
    check(bank, range(4))  # the other shard can still be read


@pytest.mark.parametrize("index", [8, 100, -1])
def test_there_are_no_items_beyond_the_last(tmp_path, index):
    bank = Bank("x", {}, 8, folder=tmp_path)
    list(bank.fill(Compute()))
    with pytest.raises(IndexError):
        bank[index]


def test_other_settings_or_another_name_make_another_bank(tmp_path):
    one = Bank("x", {"a": 1, "b": [1, 2]}, 4, folder=tmp_path)
    same = Bank("x", {"b": [1, 2], "a": 1}, 4, folder=tmp_path)
    others = [
        Bank("x", {"a": 2, "b": [1, 2]}, 4, folder=tmp_path),
        Bank("y", {"a": 1, "b": [1, 2]}, 4, folder=tmp_path),
    ]
    assert one.folder == same.folder
    assert len({one.folder, *(bank.folder for bank in others)}) == 3
    list(one.fill(Compute()))
    assert (one.folder / "settings.json").read_text() == '{"a": 1, "b": [1, 2]}'


def test_banks_live_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VGS_HOME", str(tmp_path))
    assert Bank("x", {}, 4).folder.parent == tmp_path / "banks"


def test_the_time_spent_adds_up(tmp_path, monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 2.5))
    monkeypatch.setattr(banks.time, "monotonic", lambda: next(clock))
    bank = Bank("x", {}, 12, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        list(bank.fill(Compute(fail_at=8)))
    assert bank.seconds == pytest.approx(5.0)
    list(Bank("x", {}, 12, folder=tmp_path).fill(Compute()))
    assert bank.seconds == pytest.approx(7.5)


def test_two_that_fill_one_bank_compute_each_shard_once(tmp_path):
    """Two banks of one folder, as of two processes: each waits for the shard that the other one is at."""
    together, made = threading.Barrier(2), []

    def fill():
        def compute(items: range) -> list[tuple[torch.Tensor, ...]]:
            time.sleep(0.02)
            made.extend(items)
            return [item(i) for i in items]

        together.wait()
        list(Bank("x", {}, 40, folder=tmp_path).fill(compute))

    threads = [threading.Thread(target=fill) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(40))
    check(Bank("x", {}, 40, folder=tmp_path), range(40))


def test_waiting_for_another_process_is_said_and_can_be_stopped(tmp_path):
    bank = Bank("x", {}, 8, folder=tmp_path)
    list(Bank("x", {}, 4, folder=tmp_path).fill(Compute()))
    with FileLock(bank.folder / banks.LOCK):
        events = bank.fill(Compute())
        assert [next(events) for _ in range(3)] == [Filling("x", 4, 8)] * 3  # the first shard, then a wait
        events.close()
