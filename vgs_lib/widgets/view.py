"""What every anywidget view shares: its module and style put together, messages both ways, errors shown.

Pictures, sounds and heat travel as messages, not as widget state, so that a saved notebook stays small.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import anywidget

_FOLDER = Path(__file__).parent
_log = logging.getLogger(__name__)


def module(*names: str) -> str:
    """The ES module of a view: shared helpers, then its own files, of which the last one exports ``render``."""
    return _joined("common.js", *names)


def style(*names: str) -> str:
    """The style shared by all views, then a view's own sheets."""
    return _joined("style.css", *names)


def _joined(*names: str) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def answer_while_busy(widget: anywidget.AnyWidget) -> None:
    """Handle what the browser sends to ``widget`` in the kernel's subshell for widgets, also while a cell runs.

    JupyterLab (from 4.4) and Notebook 7 send widget messages to a subshell, a thread of its own. ipykernel 7.4 hands
    them to the shell that the widget last sent from instead, and a thread sends as the cell that started it: they would
    wait for the end of that cell. Each handler of the widget must then be safe in another thread. Without subshells
    this changes nothing. All views do it, so that what a person does in the pieces of one widget is handled in order.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, sent_to: sent_to


class View(anywidget.AnyWidget):
    """A view of ``controller``. ``handlers`` maps message types to functions of (content, buffers)."""

    _css = style()

    def __init__(self, controller, **kwargs):
        super().__init__(**kwargs)
        self.controller = controller
        self.handlers: dict[str, Callable] = {"ready": lambda content, buffers: self.refresh()}
        self.on_msg(self._receive)
        answer_while_busy(self)

    def refresh(self) -> None:
        """Show what the controller knows now."""
        content, data = self.controller.message()
        self.send(content, data)

    def _receive(self, widget, content, data) -> None:
        handler = self.handlers.get(content.get("type"))
        if handler is None:
            return
        try:
            handler(content, data)
        except BaseException as error:  # a person must see it: an exception here would end in a log only
            _log.exception("widget message %s failed", content.get("type"))
            self.send({"type": "broken", "sentence": f"Something went wrong: {type(error).__name__}: {error}"})
            if not isinstance(error, Exception):
                raise  # the kernel was interrupted
