"""The comparisons that the documents make, each a list of recipes under equal conditions that differ in one thing.

``python -m vgs_lib reproduce --experiment NAME`` trains them. Records hold the loss over the steps, for "shn" both of
its terms, so that harwath2019's Fig. 5 can be drawn from any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mode
from typing import Any

from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.errors import TrainingError
from vgs_lib.recipes import Part, Recipe, recipe
from vgs_lib.training import ScoreLoss

# A picture network that can begin with random weights on two cores; the documents' frozen ones cannot.
SMALL_PICTURES = Part("small_pictures", {"network": "alexnet", "size": 128, "width": 0.5})
SHARES = (0.1, 0.3, 1.0)
GAMMAS = (1, 5, 10, 13, 20, 50, 100)
# Steps of runs that all take the same, so that timing cannot decide between them: those that one of them was given for
# so many minutes, with one thread of an AMD EPYC: imagenet-sound-classes-10-percent (timed beside other work, so that a
# free machine holds more) and tian2020.
TEN_MINUTES, FIVE_MINUTES = 806, 402


@dataclass(frozen=True)
class Run:
    """A recipe of an experiment, trained on this share of the training scenes."""

    recipe: Recipe
    share: float = 1.0


@dataclass(frozen=True)
class Experiment:
    """What is compared.

    minutes: of training for each run, where no other budget is given. steps: of every run in so many minutes, where
    timing must not decide between them, on a GPU too; 0 where each run takes the steps that its own time holds. claims:
    pairs of runs of which the document found the first better, in this ``figure``. found: what the document found, and
    ``source`` where it says so. note: how this differs from what the document did.
    """

    name: str
    title: str
    minutes: float
    found: str
    source: str
    note: str
    parts: tuple[Run, ...]
    claims: tuple[tuple[str, str], ...]
    figure: str = "r10"
    steps: int = 0

    @property
    def described(self) -> bool:
        """Whether the runs are of described things instead of scenes, as the figure says."""
        return self.figure.startswith("unseen_")

    def comparable(self, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The records of this experiment's runs as it asks for them, with the minutes and device that most have.

        Where all take the same steps, those of other steps are left out.
        """
        key = lambda record: (record["conditions"]["minutes"], record["machine"]["device"])
        timed = [record for record in records if not record["steps_were_asked_for"]]
        if not timed:
            return []
        minutes, device = mode(map(key, timed))
        timed = [record for record in timed if key(record)[1] == device]
        asked = {plan.name: one.to_dict() for plan, one in self.runs(replace(Conditions(), minutes=minutes))}
        steps = self.equal_steps(minutes)
        timed = [record for record in timed if steps in (None, record["steps"])]
        return [record for record in timed if record["conditions"] == asked.get(record["system"])]

    def equal_steps(self, minutes: float | None = None) -> int | None:
        """The steps of every run in these minutes, by default the experiment's; None where each is timed by itself."""
        share = 1 if minutes is None else minutes / self.minutes
        return max(1, round(self.steps * share)) if self.steps else None

    def runs(self, base: Conditions | None = None) -> list[tuple[Recipe, Conditions]]:
        """Each recipe with its conditions: ``base``, or the usual ones with this experiment's minutes."""
        base = base or replace(Conditions(), minutes=self.minutes)
        return [(part.recipe, _with_share(base, part.share)) for part in self.parts]


def _with_share(base: Conditions, share: float) -> Conditions:
    if share == 1.0:
        return base
    return replace(base, data=replace(base.data, used=max(1, round(share * base.data.num_scenes))))


def _losses() -> tuple[Run, ...]:
    base, margin = recipe("ni2018-baseline"), {"margin": 1.0}
    names = ("sampled_triplet", "three_anchor_triplet", "semi_hard_triplet", "shn", "all_pairs_hinge", "info_nce")
    return tuple(
        Run(
            replace(
                base,
                name=f"ni2018-{name.replace('_', '-')}",
                loss=ScoreLoss(name, options={} if name == "info_nce" else margin),
                # InfoNCE at first: dot products are larger than the cosines that 0.1 is meant for
                temperature=1.0 if name == "info_nce" else base.temperature,
            )
        )
        for name in names
    )


def _initialisations() -> dict[str, Recipe]:
    """harwath2019's best system with the three initialisations of Table 2."""
    base = recipe("harwath2019-sisa-shn")
    return {
        "random": replace(base, image=SMALL_PICTURES),
        "natural-sounds": replace(base, image=SMALL_PICTURES, initial="natural-sounds"),
        "imagenet-sound-classes": recipe("harwath2019-sisa-shn-imagenet"),
    }


def _pretraining() -> tuple[Run, ...]:
    starts = _initialisations()
    starts["imagenet"] = replace(starts["imagenet-sound-classes"], initial="")
    return tuple(Run(replace(plan, name=f"sisa-shn-{start}")) for start, plan in starts.items())


def _amounts() -> tuple[Run, ...]:
    return tuple(
        Run(replace(plan, name=f"{start}-{100 * share:.0f}-percent"), share)
        for start, plan in _initialisations().items()
        for share in SHARES
    )


def _gammas() -> tuple[Run, ...]:
    base = recipe("tian2020")
    losses = {gamma: ScoreLoss("masked_matching", options={"gamma": float(gamma)}) for gamma in GAMMAS}
    return tuple(Run(replace(base, name=f"tian2020-gamma-{gamma}", loss=loss)) for gamma, loss in losses.items())


def _named(*names: str) -> tuple[Run, ...]:
    return tuple(Run(recipe(name)) for name in names)


# Of harwath2019's Table 1 and beside it: losses and similarities, from random weights and from natural sounds.
_TABLE_1 = (
    *(f"{kind}{loss}" for loss in ("", "-shn") for kind in ("sisa", "misa", "sima")),
    "vgg-sisa-shn",
    *(f"{kind}-sounds" for kind in ("sisa", "misa", "sima", "sisa-shn", "vgg-sisa-shn")),
)
_SMALL_NOTE = (
    "From random weights and from natural sounds the pictures are 128 x 128 and their network, half an AlexNet, is "
    "trained whole; from ImageNet they are 224 x 224 and EfficientNet-Lite0 is frozen, so that its advantage is the "
    "network's and the weights' together. About eighty natural sounds stand in for two million videos and for "
    "AudioSet. The steps were timed beside other work: in systems.md, harwath2019-sisa-shn-imagenet takes more than "
    "twice as many in these minutes."
)
_DESCRIBED_NOTE = (
    "The document measures on birds and flowers of unseen classes; here it is described things, where the pair of a "
    "colour and a noun is new and nothing else."
)
_WITHOUT = tuple(
    f"tian2020-{what}"
    for what in ("triplet", "no-attention", "no-image-attention", "no-speech-attention", "attention-b4")
)

EXPERIMENTS: dict[str, Experiment] = {
    one.name: one
    for one in (
        Experiment(
            "losses",
            "One system, six losses",
            10.0,
            "Impostors that serve as anchors in turn raise recall at 1 from .069 to .090 (image search) and from .074 "
            "to .094 (annotation) on 1,024 pairs.",
            "ni2018, First Optimization",
            "ni2018 compares sampled triplets with three anchors; the other losses are those of the later documents "
            "and InfoNCE, on the same network.",
            _losses(),
            (("ni2018-three-anchor-triplet", "ni2018-sampled-triplet"),),
            figure="r1",
        ),
        Experiment(
            "similarities",
            "Similarities, sampled and mined impostors, and what the encoders begin with",
            10.0,
            "Without mined impostors MISA is better than SISA and SISA than SIMA by little; mining with SISA raises "
            "the mean recall at 10 from .468 to .672. The same system reaches .482 from random weights, and VGG16 with "
            "DAVEnet .487.",
            "harwath2019, section 5.1, Table 1",
            "The document's rows begin with natural sounds (*-sounds* here), except one, SISA with mined impostors "
            "from random weights. All runs here see pictures through the same network trained on ImageNet: what they "
            "begin with is said of the speech side and of the layer over the pictures. MISA and SIMA with mined "
            "impostors, which the document calls computationally impractical, are beside the rest.",
            _named(*(f"harwath2019-{name}" for name in _TABLE_1)),
            tuple(
                (f"harwath2019-{better}", f"harwath2019-{worse}")
                for better, worse in (
                    ("misa-sounds", "sisa-sounds"),
                    ("sisa-sounds", "sima-sounds"),
                    ("sisa-shn-sounds", "sisa-sounds"),
                    ("sisa-shn-sounds", "sisa-shn"),
                    ("sisa-shn-sounds", "vgg-sisa-shn-sounds"),
                )
            ),
        ),
        Experiment(
            "pretraining",
            "What the encoders begin with",
            10.0,
            "The mean recall at 10 is .482 from random weights, .672 from natural sounds and .703 from ImageNet and "
            "AudioSet.",
            "harwath2019, section 5.1, Table 2",
            _SMALL_NOTE + " The fourth run has ImageNet's pictures and a speech side with random weights.",
            _pretraining(),
            (
                ("sisa-shn-natural-sounds", "sisa-shn-random"),
                ("sisa-shn-imagenet-sound-classes", "sisa-shn-natural-sounds"),
            ),
            steps=TEN_MINUTES,
        ),
        Experiment(
            "data-amount",
            "Recall against the amount of training data, for three initialisations",
            10.0,
            "Either pre-training helps at every amount, random weights hardly reach .1 recall at 10 with 20 % of the "
            "data, and no curve has levelled off.",
            "harwath2019, section 5.2, Fig. 6",
            _SMALL_NOTE + " Every run takes the same steps, so fewer scenes are seen more often. The document takes "
            "10, 20, 50 and 100 % of its data; what it says of 20 % has no run here.",
            _amounts(),
            tuple(
                (f"{better}-{100 * share:.0f}-percent", f"random-{100 * share:.0f}-percent")
                for better in ("natural-sounds", "imagenet-sound-classes")
                for share in SHARES
            ),
            steps=TEN_MINUTES,
        ),
        Experiment(
            "fine-grained",
            "Six systems on described things",
            5.0,
            "The matching loss is better than TIMAM, TIMAM than CMPM with CMPC, that than DSCMR, and DSCMR than the "
            "systems of harwath2016 and merkx2019 with a sampled triplet loss.",
            "tian2020, section 5.4.3, Table 5.5",
            _DESCRIBED_NOTE,
            _named(*(f"tian2020{name}" for name in ("", "-timam", "-cmpm-cmpc", "-dscmr", "-harwath", "-merkx"))),
            (
                ("tian2020", "tian2020-timam"),
                ("tian2020-timam", "tian2020-cmpm-cmpc"),
                ("tian2020-cmpm-cmpc", "tian2020-dscmr"),
                ("tian2020-dscmr", "tian2020-harwath"),
                ("tian2020-dscmr", "tian2020-merkx"),
            ),
            figure="unseen_r1",
        ),
        Experiment(
            "gamma",
            "The smoothing factor of the matching loss",
            5.0,
            "Recall at 1 rises and falls again between gamma 1 and 100, is best from 10 to 20, and peaks at 13.",
            "tian2020, section 5.4.1, Figures 5.1 and 5.2",
            _DESCRIBED_NOTE + " Gamma 13 is tian2020 of ablations.md.",
            _gammas(),
            tuple(("tian2020-gamma-13", f"tian2020-gamma-{gamma}") for gamma in GAMMAS if gamma != 13),
            figure="unseen_r1",
            steps=FIVE_MINUTES,
        ),
        Experiment(
            "ablations",
            "Parts of tian2020's system taken away",
            5.0,
            "Every part helps, the loss most, the speech side's attention more than the pictures'; CBAM is best behind "
            "block 3.",
            "tian2020, sections 5.4.4 and 5.4.5, Tables 5.6 and 5.7",
            _DESCRIBED_NOTE + " CBAM weights the maps of a frozen network. Seed 0 of tian2020 is also in "
            "fine-grained.md.",
            _named("tian2020", *_WITHOUT),
            (
                *(("tian2020", name) for name in _WITHOUT),
                ("tian2020-no-attention", "tian2020-triplet"),
                ("tian2020-no-image-attention", "tian2020-no-speech-attention"),
            ),
            figure="unseen_r1",
            steps=FIVE_MINUTES,
        ),
    )
}


def experiment(name: str) -> Experiment:
    """The experiment of that name; :class:`TrainingError` lists those there are."""
    if name not in EXPERIMENTS:
        raise TrainingError(f"no experiment is called {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
