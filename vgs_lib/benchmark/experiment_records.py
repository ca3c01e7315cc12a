"""A document's comparison with the records that there are of it, as notebooks show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vgs_lib.benchmark import leaderboard
from vgs_lib.benchmark.agreement import Compared
from vgs_lib.benchmark.agreement_tables import claims_table, judged
from vgs_lib.benchmark.experiments import Experiment, experiment
from vgs_lib.benchmark.records import command_of, made_by, read_records


@dataclass(frozen=True)
class Recorded:
    """An experiment and its records, none of them where nothing is trained yet; all that is said is Markdown.

    records: those of runs that are comparable (``Experiment.comparable``). others: the rest, which no table and no
    figure has.
    """

    experiment: Experiment
    records: list[Mapping[str, Any]]
    others: list[Mapping[str, Any]]

    @classmethod
    def read(cls, name: str, folder: Path) -> "Recorded":
        """The experiment of that name with the records in ``folder / name``.

        Raises :class:`TrainingError` for a name that is not there and :class:`DataError` for a damaged record.
        """
        one, every = experiment(name), read_records(folder / name)
        equal = one.comparable(every)
        return cls(one, equal, [record for record in every if record not in equal])

    @property
    def names(self) -> list[str]:
        """The runs, in the experiment's order."""
        return [run.recipe.name for run in self.experiment.parts]

    @property
    def missing(self) -> str:
        """Which runs have no record yet, the command that makes them, and which records are of other conditions."""
        said = missing(self.records, self.names, self.experiment.name)
        if odd := ", ".join(sorted({record["system"] for record in self.others})):
            said += f" Not shown, since trained under other conditions or for other steps: {odd}."
        return said

    @property
    def said(self) -> str:
        """What the document found, how ours differs, and what is missing."""
        one = self.experiment
        return f"On other data the document found ({one.source}): {one.found}\n\n{one.note}\n\n{self.missing}"

    @property
    def table(self) -> str:
        """The figures of the runs."""
        return leaderboard.table(self.records, order=self.names) if self.records else "There are no records yet."

    @property
    def claims(self) -> str:
        """Each claim of the document beside our difference."""
        table = claims_table(self.pairs, self.experiment.figure, self.records)
        return table or "No two of the runs that the document compares have records yet."

    @cached_property
    def pairs(self) -> list[Compared]:
        """The claims of which both runs have a record."""
        return judged(self.records, self.experiment)

    @property
    def published(self) -> str:
        """The document's figures of the systems, on data of its own."""
        return leaderboard.published_table(self.names)


def missing(records: Sequence[Mapping[str, Any]], expected: Sequence[str], experiment: str = "") -> str:
    """A sentence: which of the systems ``expected`` have no record yet, and the commands that make records."""
    there = {record["system"] for record in records}
    absent = [name for name in expected if name not in there]
    if not absent:
        return f"All {len(expected)} have a record, made by {made_by(records, experiment)}."
    named = ", ".join(absent) if len(absent) <= 8 else f"{', '.join(absent[:6])} and {len(absent) - 6} more"
    command = command_of(experiment, records[0] if records else None)
    return f"{len(absent)} of {len(expected)} have no record yet: {named}. `{command}` makes them."
