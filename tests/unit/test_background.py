"""Work in the background: one piece at a time, stopped, replaced and waited for."""

import threading

import pytest

from vgs_lib.widgets.background import Background, InBackground


@pytest.fixture
def work():
    """``work(name)``: a piece of work that writes down its name, goes on until ``go_on`` and then whether to stop."""

    class Works:
        def __init__(self):
            self.said, self.begun, self.go_on = [], threading.Event(), threading.Event()

        def __call__(self, name):
            def piece(should_stop):
                self.said.append(name)
                self.begun.set()
                assert self.go_on.wait(10)
                self.said.append((name, should_stop()))

            return piece

    works = Works()
    yield works
    works.go_on.set()


def test_one_piece_at_a_time(work):
    place = Background("test-work")
    assert not place.busy
    place.wait()  # nothing goes on: no waiting
    assert place.start(work("first")) and work.begun.wait(10) and place.busy
    assert not place.start(work("second"))
    place.wait(0.01)
    assert place.busy and "test-work" in {thread.name for thread in threading.enumerate()}
    work.go_on.set()
    place.wait()
    assert not place.busy and work.said == ["first", ("first", False)]
    assert place.start(work("third"))  # there is room again
    place.wait()
    assert work.said[2:] == ["third", ("third", False)]


def test_what_replaces_waits_for_the_end_of_what_was_stopped(work):
    place = Background("test-work")
    place.start(work("first"))
    assert work.begun.wait(10)
    place.replace(work("second"))
    assert work.said == ["first"]
    work.go_on.set()
    place.wait()
    assert work.said == ["first", ("first", True), "second", ("second", False)]


def test_closing_stops_the_work_and_a_widget_without_any_closes_too(work):
    class Base:
        closed = False

        def close(self):
            self.closed = True

    class Widget(InBackground, Base):
        pass

    bare = Widget()
    assert bare.wait() is bare
    bare.close()
    assert bare.closed

    widget = Widget()
    widget._background = Background("test-work")
    widget._background.start(work("only"))
    assert work.begun.wait(10)
    threading.Timer(0.05, work.go_on.set).start()
    widget.close()
    assert work.said == ["only", ("only", True)] and widget.closed
