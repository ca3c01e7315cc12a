"""The score matrix beside the matchmap player: a cell plays its caption in its picture."""

import ipywidgets

from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.score_matrix_controller import ScoreMatrixController
from vgs_lib.widgets.view import View, module, style
from vgs_lib.widgets.views import MatchmapPlayer


class ScoreMatrixCanvas(View):
    """The matrix alone; ``on_choose(row, column)`` is called for a click or the Enter key on a cell."""

    _esm = module("score_matrix.js")
    _css = style("score_matrix.css")

    def __init__(self, controller: ScoreMatrixController, on_choose):
        super().__init__(controller)

        def choose(content, data):
            on_choose(int(content["row"]), int(content["column"]))
            cell = controller.chosen
            self.send({"type": "chosen", "row": cell.row, "column": cell.column})

        self.handlers["choose"] = choose


class ScoreMatrix(ipywidgets.Box):
    """Scores of captions (rows) with pictures (columns). Arrow keys move, Enter or a click plays.

    Args:
        collection: from `Collection.of`; a matrix of about 40 by 40 is easiest to use.
    """

    def __init__(self, collection: Collection):
        self.controller = ScoreMatrixController(collection)
        self.canvas = ScoreMatrixCanvas(self.controller, self.choose)
        self.player = MatchmapPlayer(controller=self.controller.player)
        super().__init__([self.canvas, self.player])
        self.add_class("vgs-pair")

    def choose(self, row: int, column: int, *, play: bool = True) -> None:
        """Play caption ``row`` in picture ``column``, as a click does."""
        self.controller.choose(row, column, play=play)
        self.player.refresh()
