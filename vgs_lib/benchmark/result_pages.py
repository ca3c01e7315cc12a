"""Markdown pages of records: how they were made, the table, and where its order agrees with the documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from vgs_lib.benchmark.agreement import orders, seeds_apart
from vgs_lib.benchmark.agreement_tables import claims_table, judged, orders_table, pairs_table
from vgs_lib.benchmark.attribute_benchmark import PER_CLASS
from vgs_lib.benchmark.experiments import Experiment
from vgs_lib.benchmark.leaderboard import published_localization_table, published_table, table
from vgs_lib.benchmark.paired_tables import protocol_table, untrained_table
from vgs_lib.benchmark.records import budget_of, comparable, made_by, one_of_each, reads_text, unit_of
from vgs_lib.retrieval import WAYS

Record = Mapping[str, Any]


def systems_page(records: Sequence[Record]) -> str:
    """Our table with how it was made, its order beside the documents', and the published figures of the systems."""
    equal = comparable(records)
    typical = (equal or records)[0]
    conditions, scale = typical["conditions"], typical["conditions"]["scale"]
    said = [
        f"{_budget('system', equal or records)}. All are trained on Spoken Stamps "
        f"under equal conditions: batches of {conditions['data']['batch_size']}, hidden channels times "
        f"{scale['width']:g}, embeddings of {scale['dim']}, pictures seen by a frozen {scale['pictures']}, one "
        f"optimizer. {TRAINED_BEFORE} {_made(equal or records)}",
        f"{SCENES} {_pointing(records)}{_several(equal or records)}{CSV.format(figure='R@10')}",
    ]
    if any(map(reads_text, records)):
        said.append(
            "Systems that read text are given the exact words of the captions, where harwath2019 has a recogniser's; "
            "they hear no voice, so where they come above systems that hear, that says what exact words do."
        )
    said.append(
        "All systems see pictures through the same network, trained on ImageNet, whatever a name says of its "
        "beginning. Systems of tian2020 see the maps of two strides of it, as CBAM needs them; losses on classes "
        "(CMPC, DSCMR, TIMAM) know one class for each set of names, so nearly one for each scene: their rows here say "
        "little, and fine-grained.md judges them."
    )
    if odd := _named([record for record in records if record not in equal]):
        said.append(f"Trained under other conditions or for steps that were asked for, and in the table only: {odd}.")
    parts = ["# Systems on Spoken Stamps", *said, table(records)]
    if found := orders(equal):
        parts += [
            "## The order of the systems",
            ORDERED,
            DECIDED.format(queries="queries") + TIMED + seeds_apart(equal, "r10"),
            ORDERS,
            orders_table(found),
            "Every pair:",
            pairs_table(found, equal),
        ]
    parts += _protocols(equal)
    theirs = "Of other data, sizes and training; shown beside ours, not to be compared number by number."
    bases = (r["system"].removesuffix("-sounds").removesuffix("-imagenet") for r in records)
    systems = list(dict.fromkeys(bases))  # the published rows name what a system began with in a column
    parts += ["## Published", theirs, published_table(systems)]
    if found := published_localization_table(systems):
        parts += [LOCALIZED, found]
    return "\n\n".join(parts) + "\n"


SCENES = (
    "Recall and median rank are of 1,000 test scenes of one to four things, told by voices never trained on (chance "
    "R@1 .001, R@5 .005, R@10 .010, median rank 500.5); mAP@50 is of 1,000 single names, where every picture of the "
    "same name is right (chance .005)."
)
CSV = "The CSV beside this page has 95 % intervals of {figure}."
TRAINED_BEFORE = "Time in which encoders were trained beforehand is not counted."
DECIDED = (
    "Decided (it agrees or disagrees) means that the 95 % interval of our difference does not contain 0; with one seed "
    "it is over {queries} and says nothing about another seed, with three or more the spread of the seeds is added "
    "to it by Student's t. A pair is judged on the seeds that both have, of fewer than three on the first, so its "
    "difference need not be that of the means in the table. Seeds change the first weights, a pre-training "
    "where there is one, what a loss draws and dropout, not the scenes, the voices or the order of the batches. "
    "Where one or both are near chance, they have not learnt in the budget, and their order says no more than this."
)
TIMED = (
    " Steps were timed run by run and differ between systems that cost the same, by up to a third, which no interval "
    "knows of. Equal time favours what is cheap on the machine; the documents train for epochs, whatever a step costs."
)
LOCALIZED = (
    "Where words are in photographs: harwath2019's Tables 4 and 5, on ADE20K, beside the baseline that marks the whole "
    "frame. The column *pointing* of the first table is our nearest figure, a share of words and not an overlap."
)
ORDERED = (
    "For each pair of systems that a document orders on one data set, with encoders that began with the same: do ours "
    "come in the same order?"
)
ORDERS = (
    "Systems that model every frame, recurrent ones and ni2018's TCN on all frames, take the fewest steps. The "
    "documents give no intervals, and some of their differences are below .01. Kendall's tau of few pairs says little; "
    "ni2018's words only put its TCN before each of the others. Where systems differ in their picture networks alone, "
    "as zhang2020's, they are one run here, and several orders of the document stand beside it."
)


def _protocols(records: Sequence[Record]) -> list[str]:
    """The protocols of zhang2020 and ni2018 for the systems of those documents, as parts of the page."""
    trained = [record for record in records if not record.get("trained_as")]
    of = lambda document: [record for record in trained if record["system"].startswith(document)]
    parts = []
    if zhang := of("zhang2020"):
        said = (
            "zhang2020 asks among 100 pairs, of a model before and after training; chance is .01 / .05 / .10. In "
            "parentheses is the 95 % interval of the last figure."
        )
        parts += ["## Untrained and trained, among 100", said, untrained_table(zhang)]
    if ni := of("ni2018"):
        said = (
            "ni2018 asks among 1,024 pairs, both ways; the other protocols are beside it. In parentheses is the 95 % "
            "interval of the last figure."
        )
        parts += ["## Among 1,024", said, *(protocol_table(ni, way) for way in WAYS)]
    return parts


def experiment_page(one: Experiment, records: Sequence[Record]) -> str:
    """What was compared and how, what the document found, our table in the experiment's order, and its claims."""
    equal = one.comparable(records)
    typical = (equal or records)[0]
    data = "described things" if one.described else "scenes"
    equal_steps = one.equal_steps(typical["conditions"]["minutes"])
    budget = _budget("run", equal, equal_steps) if equal else "No run is of this experiment's budget"
    trained = (
        f"{budget}. They are trained on {data} of Spoken Stamps and otherwise under the conditions of systems.md. "
        f"{TRAINED_BEFORE} {_made(equal or records, one.name)}"
    )
    several = _several(equal or records)
    if one.described:
        measured = (
            "Figures are of queries whose colour and noun were trained together (seen) and of those that never were "
            f"(unseen); {_described_chance(typical)}. "
            "In these splits size and noun nearly name a picture; the columns *colour* give how often the named colour "
            "is chosen between two pictures (or captions) of the same thing and size in two colours, one of them never "
            "trained: a model that is deaf to colours has .5 in the mean of seen and unseen, which is *both*. "
            f"{several}{CSV.format(figure='mAP@50')}"
        )
    else:
        measured = f"{SCENES} {_pointing(records)}{several}{CSV.format(figure='R@10')}"
    said = [trained, one.note, measured]
    if odd := _named([record for record in records if record not in equal]):
        said.append(f"Trained under other conditions or for other steps, and in the table only: {odd}.")
    theirs = f"On other data the document found: {one.found} ({one.source})"
    order = [part.recipe.name for part in one.parts]
    parts = [f"# {one.title}", theirs, *said, table(records, order=order)]
    if claims := claims_table(judged(equal, one), one.figure, equal):
        decided = DECIDED.format(queries="classes of queries" if one.described else "queries")
        decided += ("" if equal_steps else TIMED) + seeds_apart(equal, one.figure)
        parts += ["## Its claims here", decided, claims]
    return "\n\n".join(parts) + "\n"


def _budget(what: str, records: Sequence[Record], equal_steps: int | None = None) -> str:
    """What each run was given, and what the runs took of it, as a sentence."""
    minutes, given = [record["seconds"] / 60 for record in records], budget_of(records[0])
    unit = unit_of(records)
    took = f"the runs took {min(minutes):.1f} to {max(minutes):.1f} {unit}"
    by = " (processor time)" if unit == "core minutes" else ""
    if equal_steps:
        return (
            f"Every {what} takes {equal_steps:,} steps, which one of them was given for {given}; {took}, more "
            "where a network costs more or the machine did other work"
        )
    return (
        f"Every {what} was given the steps that {given} hold{by}, by timing a few beforehand; {took}, "
        "more where the machine did other work"
    )


def _made(records: Sequence[Record], experiment: str = "") -> str:
    """The commands that made the records and the machine that they ran on, as a sentence."""
    made = records[0]["machine"]
    threads = "one thread" if made["threads"] == 1 else f"{made['threads']} threads"
    on = f"{made['gpu']} and {threads}" if "gpu" in made else threads
    return f"Made by {made_by(records, experiment)} with {on} of {made['processor']}, torch {made['torch']}."


def _several(records: Sequence[Record]) -> str:
    """What a table shows of systems with several seeds, as a sentence; "" where none has."""
    if len(one_of_each(records)) == len(records):
        return ""
    return "Of several seeds the mean is shown, in parentheses the smallest and the largest value. "


def _pointing(records: Sequence[Record]) -> str:
    """The chance of pointing as a sentence, "" where no system points."""
    chances = [p["pointing_chance"] for record in records if (p := record["figures"].get("pointing"))]
    return f"Pointing at what a word names has a chance of {chances[0]:.3f}. " if chances else ""


def _described_chance(record: Record) -> str:
    """Among how many pictures queries of described things are asked, and the chance of both figures, as a clause."""
    one = record["figures"]["unseen"]["colour"]["speech_to_image"]
    classes = round(1 / one["r1_chance"])
    return (
        f"{len(one['ranks'])} queries a split among {PER_CLASS} pictures of each of {classes} classes, any of the "
        f"named class is right; chance is R@1 {one['r1_chance']:.3f}, mAP@50 {one['map50_chance']:.3f}"
    )


def _named(records: Sequence[Record]) -> str:
    return ", ".join(sorted({record["system"] for record in records}))
