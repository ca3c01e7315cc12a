# %% [markdown]
# # The systems of four documents train on the same pictures and the same voices
#
# Five documents describe systems that learn from pictures and speech, and compare themselves with others. Each was measured on data of its own, with networks and hours of its own, so their tables cannot be laid side by side. Here the systems of four of them, and those they compare with, are [recipes](glossary.md#recipe): names under which they are built, trained and measured on Spoken Stamps, each with the steps that the same time holds. (The fifth, aytar2017, has its networks and losses in the library.) What the documents published stands beside and is never mixed in.
#
# **You will** take a system apart and count its parameters; train one for a few steps; meet a model that was never trained; read a leaderboard with its intervals and three protocols; compare two systems query by query, by eye and ear and with two tests.
#
# **You need** [02_train](02_train.ipynb) and [03_retrieval](03_retrieval.ipynb). **It takes** 40 minutes; the cells run in about half a minute on two cores.
#
# **How:** the leaderboard is drawn from records, one file for each system that was trained; training them all takes hours and is not done here. A sentence says which systems have no record yet, and the command that makes it.

# %% tags=["parameters"]
look_at = "harwath2019-sisa-shn"  # the system that is taken apart and trained
num_scenes = 24  # training scenes of the small run
batch_size = 8  # pairs in a batch of it
steps = 4  # optimizer steps of it
results = ""  # folder of your own that `reproduce --out` wrote; "" takes `results`
found_at = 10  # a rank of this or better counts as found
seed = 0  # of the small run

# %%
from IPython.display import Markdown

from vgs_lib.recipes import SYSTEMS, recipe

beginnings = {}
for name in SYSTEMS:
    beginnings.setdefault(name.split("-")[0], []).append(f"`{name}`")
Markdown("\n".join(f"- **{beginning}**: {', '.join(names)}" for beginning, names in beginnings.items()))

# %% [markdown]
# ## 1. What a system is made of
#
# Two encoders, a similarity, a loss, and a schedule; little else. A name begins with its document, or with the system that a document compares with: chrupala2017, merkx2019 and scharenborg2020 stand in tian2020's tables, as do DSCMR, CMPM with CMPC and TIMAM. Take one apart:

# %%
from vgs_lib.recipes.parts import parameters, parameters_table, parts_table

Markdown(parts_table(recipe(look_at)))

# %% [markdown]
# The row *chosen* is there where a document leaves a gap that had to be filled. Change `look_at` above, or put another name into `recipe(...)`.
#
# **Predict first.** Which side is larger in these systems, the one for pictures or the one for speech? Which of the speech encoders is the largest?
#
# The documents went through tens to hundreds of thousands of pairs, ten to 150 times. To train them all on two cores, each is also built at a smaller scale: a quarter of the hidden channels, [embeddings](glossary.md#embedding) of 256, and one frozen picture network for all (EfficientNet-Lite0), so that the table compares the systems and not what their picture networks had seen before.

# %%
from vgs_lib.benchmark.conditions import Conditions
from vgs_lib.memory import give_back

give_back()  # from here on freed memory goes back to the system
conditions = Conditions()
shown = ["ni2018-baseline", "ni2018-tcn", "zhang2020-vgg16-5", "zhang2020-vgg19-lstm", "merkx2019", "tian2020"]
Markdown(parameters_table([recipe(name) for name in dict.fromkeys([*shown, look_at])], conditions.scale))

# %%
# NBVAL_CHECK_OUTPUT
davenet = parameters(recipe("zhang2020-vgg16-5"))["audio"].all
print(f"The speech encoder DAVEnet with five convolutions has {davenet:,} parameters at the document's size.")

# %% [markdown]
# The second convolution of that encoder takes 128 channels to 256 and looks at 11 frames at once; each output channel has a bias.
#
# **Exercise 1.** How many parameters has this layer at our scale, with a quarter of the channels on both sides?

# %% tags=["exercise"]
from vgs_lib.exercises.systems import check_parameters

# SOLUTION
layer = (128 // 4) * 11 * (256 // 4) + 256 // 4
# BLANK
# layer = None  # a whole number: weights and biases
# END
check_parameters(layer, 128, 11, 256, share=0.25)

# %% [markdown]
# A quarter of the width is a sixteenth of the weights. That is why a small scale trains so much faster, and one reason why an order of systems may come out differently here than at full size.
#
# ## 2. Build one, and ask it before it has learnt anything
#
# `SceneStudy` puts a recipe together with its data. What the frozen picture network gives is computed once and kept (the bars).

# %%
from dataclasses import replace

from vgs_lib.commands.bars import Bars
from vgs_lib.data.stamps import Stamps
from vgs_lib.studies.scene_study import SceneStudy, fitted

stamps = Stamps.open()
data = replace(conditions.data, num_scenes=num_scenes, takes=1, batch_size=batch_size)
small = replace(conditions, data=data, words_first=0.0)
plan = fitted(small.plan(recipe(look_at), steps=steps, seed=seed), stamps)
prepared = SceneStudy(stamps, recipe(look_at), num_validation=batch_size).prepare(plan)
with Bars("item") as bars:
    for filling in prepared.batches.fill():
        bars.show(filling.name, filling.done, filling.total)

# %% [markdown]
# zhang2020 does something that few tables do: it prints what its systems reach *before* their first step, and measures on 100 pairs. It calls the figure precision at k, P@k: the share of queries whose right picture is among the first k. With one right picture that is [recall at k](glossary.md#recall-at-k).
#
# **Predict first.** What is P@10 of an untrained model among 100 pictures? Would it help that the picture network has seen a million photographs?

# %%
from vgs_lib.batches.held_out import HeldOut
from vgs_lib.data.scenes import Scenes
from vgs_lib.retrieval.report import report, table

held_out, untrained = HeldOut(Scenes(stamps, "test"), 100), prepared.model
with Bars("item") as bars:
    for filling in held_out.fill(untrained):
        bars.show(filling.name, filling.done, filling.total)
scores = untrained.score(*held_out.embed(untrained)).detach()
print(table({"speech to picture, 100 pairs, untrained": report(scores.T), "picture to speech": report(scores)}))

# %% [markdown]
# **Exercise 2.** The documents measure among 100 pairs (zhang2020), 1,000 (harwath2019) and 1,024 (ni2018). What is recall at 10 of a blind guess in each?

# %% tags=["exercise"]
from vgs_lib.exercises.systems import check_chances

# SOLUTION
chances = {size: 10 / size for size in (100, 1000, 1024)}
# BLANK
# chances = None  # {100: a share, 1000: a share, 1024: a share}
# END
check_chances(chances, (100, 1000, 1024), 10)

# %% [markdown]
# And in the document, on data of its own (the rows that say *untrained* under *begun with*):

# %%
from vgs_lib.benchmark import leaderboard

Markdown(leaderboard.published_table([name for name in SYSTEMS if name.startswith("zhang2020")]))

# %% [markdown]
# Does the interval of ours contain the [chance level](glossary.md#chance-level)? zhang2020's untrained rows lie above it: 30 of 100 found among the ten best where 10 are expected is no accident, and three of the four rows are the same to the digit. What was measured there, the document does not say. A table without an untrained row, the cheapest [baseline](glossary.md#baseline), and without chance leaves such questions unasked.

# %% [markdown]
# Now a few steps, to see the machinery turn. A loss that is a sum of two terms reports them apart.

# %%
from vgs_lib.training import StepEvent, fit

for event in fit(prepared.model, prepared.batches, plan.loss, plan.fit):
    if isinstance(event, StepEvent):
        terms = {name: round(event.extra[name], 1) for name in ("sampled", "semi_hard") if name in event.extra}
        print(f"step {event.step}: loss {event.loss:.1f} {terms or ''}")

# %% [markdown]
# ## 3. The leaderboard
#
# `python -m vgs_lib reproduce` does this for every system, for ten minutes on two cores each, and then ranks 1,000 scenes told by voices that were never trained on. Each run leaves a record: its figures, its history, and the rank of every single query. These are the records that there are. S→I: speech asks for pictures. *mAP@50* is [average precision](glossary.md#average-precision) among the 50 best, *pointing* that of [04](04_localization.ipynb), empty where places are averaged away. The steps are fixed beforehand by timing a few; *core minutes* is what the run took, where 20 were aimed at. Of several seeds the mean is shown, in parentheses the smallest and the largest value. The best R@10, mean of both ways, comes first. *(the run of ...)*: under our one picture network and one optimizer the two are the same system, trained once.

# %%
from vgs_lib import paths
from vgs_lib.benchmark.experiment_records import missing
from vgs_lib.benchmark.paired_tables import neighbour_table, protocol_table, ranked, untrained_table
from vgs_lib.benchmark.records import read_records
from vgs_lib.figures.leaderboard import cost_figure, recall_figure
from vgs_lib.viz import with_alt

records = ranked(read_records(paths.results_folder(results) / "systems"))
distinct = [record for record in records if not record.get("trained_as")]
said = missing(records, list(SYSTEMS))
Markdown(said + "\n\n" + (leaderboard.table(records) if records else "No records yet."))

# %% [markdown]
# **Predict first.** Before you look at the figure: which differences in the columns' R@10 would you dare to call differences? Each is a share of 1,000 queries.

# %%
alt = "Recall at 10 of each system both ways with its interval, the best first, and chance"
with_alt(recall_figure(distinct, title="Systems on Spoken Stamps"), alt) if distinct else "Nothing to draw yet."

# %% [markdown]
# The lines are 95 % [intervals](glossary.md#bootstrap-interval) over queries: they say how much other queries could change the figure, asked of the same 1,000 candidates. They do not say how much another seed of the training could; for that, `--seeds 0 1 2` trains three runs. The column *seeds* says which systems have them, and the figure has a line for each.
#
# Equal time is not equal steps: a cheap system takes more of them. And equal time is not equal size.
#
# **Predict first.** Will the larger systems be better? Will those that take more steps?

# %%
alt = "Recall at 10 against trained parameters and against steps, coloured by document"
with_alt(cost_figure(distinct), alt) if distinct else "Nothing to draw yet."

# %% [markdown]
# Read the two panels together: left in the first and right in the second is small *with* many steps. Where recall rises with the steps, ten minutes may be too short. But the kind of network and the number of steps go together here: systems that model every frame, recurrent ones and ni2018's TCN, take the fewest. Those that read text see a few words instead of a thousand frames, and take the most. The figure cannot tell which of the two it is; what experiment could?
#
# The same records, judged by the other protocols. The last figure of each has its interval; *single names* ranks 1,000 pictures of one thing each for one spoken name, and every picture of that name is right.

# %%
Markdown(protocol_table(distinct))

# %% [markdown]
# The same model reaches a higher R@10 among 100 than among 1,000 pictures. A figure without its number of candidates is no figure. And zhang2020's systems by its own protocol, before their first step and after the last:

# %%
of_zhang = [record for record in distinct if record["system"].startswith("zhang2020")]
Markdown(untrained_table(of_zhang) if of_zhang else "No records yet.")

# %% [markdown]
# What the documents published for these systems: other pictures, other speech, other amounts, and every row with its data named. The *order* of systems within one data set is what may be compared with ours.

# %%
names = [record["system"] for record in records] or [look_at]
bases = [name.removesuffix("-sounds").removesuffix("-imagenet") for name in names]  # "begun with" has the rest
Markdown(leaderboard.published_table(bases))

# %% [markdown]
# **Without code:** find two systems that one document compares with one another on one data set, and that both have a record here. Is the order the same? Do the intervals allow to say so?
#
# Then look at all such pairs at once. A pair is *decided* where the 95 % interval of our difference does not contain 0. [Kendall's tau](glossary.md#kendalls-tau) is the share of pairs in the document's order less the share of the others, ties counting for neither: 1 for the same order, 0 for no relation. (zhang2020's picture networks are one here, so its rows put several orders of the document beside one pair of runs.)
#
# **Predict first.** The documents went through their data ten to 150 times, ours had ten minutes on two cores. In how many of ten pairs will the order be the same?

# %%
from vgs_lib.benchmark.agreement import orders
from vgs_lib.benchmark.agreement_tables import orders_table, pairs_table
from vgs_lib.benchmark.records import comparable, reads_text

equal = comparable(records)
compared = orders(equal)
Markdown(orders_table(compared) if compared else "No two systems of one document have records yet.")

# %% [markdown]
# Now every pair. Those that are decided in the other order come first. For each of these, four explanations compete: ten minutes are too few for one of the two; our data ask for something else; our conditions are not the document's (one frozen picture network, another optimizer, eighty sounds in the place of two million videos); or the document's difference was the draw of its test or its seed, for none of them gives an interval. Do the steps speak for the first? Which pairs have three seeds, if any, so that the interval knows of them? (It is 95 % for each pair by itself: of forty that do not differ, about two would be "decided" by chance.)

# %%
Markdown(pairs_table(compared, equal) if compared else "There is none yet.")

# %% [markdown]
# ## 4. Query by query
#
# Two systems with the same recall need not find the same queries. Choose two, and a direction. Each point is a query: its rank by the first system from left to right, by the second from bottom to top. The shaded strips hold the queries that only one of them finds, and the lists below begin with those that the other one misses worst.
#
# 1. Click a query of a list, look at its picture and listen. What was hard about it: a tiny thing, a voice, the noise? (The records keep ranks and not which picture stood first, so this is a guess.)
# 2. The arrow keys go from query to query when the plot has the focus.
# 3. The lists begin with the systems that hear; those that read text come last. Compare a system with its nearest relative, then with one of another document. Where is the cloud narrower?
# 4. If a system has several seeds, compare two of them: the same network and data, and other first weights. How many queries does only one of them find?

# %%
from vgs_lib.widgets import SystemComparison, scene_queries

hearing_first = sorted(distinct, key=reads_text)
comparison = SystemComparison(hearing_first, scene_queries(stamps), k=found_at)
comparison

# %% [markdown]
# The systems are asked the same 1,000 queries, so their recalls are *paired*: a query that is hard for one is mostly hard for the other. The queries that both find, and those that both miss, say nothing about which is better. What is left are the two strips.
#
# **Exercise 3.** An interval for the difference. `first` and `second` hold 1.0 where a system finds a query and 0.0 where it does not. Draw queries with replacement, 2,000 times, and give the 2.5 % and the 97.5 % quantile of the difference of the two recalls. Which queries must be drawn for the second system?

# %% tags=["exercise"]
import numpy as np

from vgs_lib.exercises.systems import check_interval


def interval(first, second):
    # SOLUTION
    drawn = np.random.default_rng(0).integers(len(first), size=(2000, len(first)))
    return np.quantile((first[drawn] - second[drawn]).mean(axis=1), [0.025, 0.975])
    # BLANK
    # ...
    # END


check_interval(interval)

# %% [markdown]
# [McNemar's test](glossary.md#mcnemar-test) asks the same with coins. If both systems were equally good, each query that only one of them finds would fall to either with probability one half. How probable is so uneven a split, or one more uneven, to either side?
#
# **Exercise 4.** Write it. `math.comb(n, i)` counts the ways to choose `i` of `n`; where the two numbers are equal the answer is 1.

# %% tags=["exercise"]
import math

from vgs_lib.exercises.systems import check_mcnemar


def mcnemar(first_only, second_only):
    # SOLUTION
    total, few = first_only + second_only, min(first_only, second_only)
    tail = sum(math.comb(total, i) for i in range(few + 1)) / 2**total
    return min(1.0, 2 * tail)
    # BLANK
    # ...
    # END


check_mcnemar(mcnemar)

# %% [markdown]
# **Predict first.** Order the systems by this one direction, speech to picture, and go down from each to the next. How many of these steps are more than chance?

# %%
Markdown(neighbour_table(distinct, k=found_at))

# %% [markdown]
# Two warnings. Forty comparisons of equal systems, chosen beforehand, give about two "differences" at p < 0.05 by chance; neighbours in an order that was made of the results are the closest of all, and a test of them is no test of a question asked before. And the test is about queries only: another seed gives another model, and no test on one run of each can know how far seeds move it. (Section 3 has the pairs with three seeds, where there are any.)
#
# **Without code:** how would you design the comparison if you could train only ten runs: two systems with five seeds, or ten systems with one? What is the answer good for in each case?
#
# ## 5. A system of your own
#
# A recipe is plain data. Take one, replace a part, and it builds, trains and is measured like the others:
#
# ```python
# from pathlib import Path
#
# from vgs_lib.benchmark.reproduce import Reproduction
# from vgs_lib.benchmark.scene_benchmark import SceneBenchmark
# from vgs_lib.training import ScoreLoss
#
# mine = replace(recipe("zhang2020-vgg16-5"), name="mine", loss=ScoreLoss("info_nce"), kind="sisa", temperature=1.0)
# reproduction = Reproduction(SceneBenchmark(stamps), conditions, runs=Path("runs"), records=Path("my-results/systems"))
# for event in reproduction.run(mine):
#     ...
# ```
#
# Copy `results/systems` into `my-results` before, and set `results` above to that folder: yours stands beside the others. A run that is cut off goes on where it was; `python -m vgs_lib reproduce NAMES --budget MINUTES` does the same for the documents' systems. [08_losses](08_losses.ipynb) changes one part only, and asks what it does.
#
# ## What you saw
#
# - A system of this field is two encoders, a similarity, a loss and a schedule; systems of one document mostly differ in one of these.
# - Published figures are of other data. What can be compared across documents is an order, and only with intervals.
# - An untrained row and a chance level cost nothing and answer the first two questions that anybody will ask.
# - Among 100, 1,000 or 1,024 candidates the same model has different figures: the protocol belongs to the number.
# - Two systems on the same queries are compared in pairs: only queries that one of them alone finds tell them apart.
#
# ## Further reading
#
# - Ni, Gu and Zhu, *Optimization of Multimodal Analysis of Image and Audio Pairs*, 2018 (temporal modelling and three anchors), H. Zhang, *Study of Unsupervised Learning of Visual Objects with Spoken Words based on Siamese Network*, 2020 (untrained rows, P@k), Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019, T. Tian, *Visually Grounded Fine-Grained Speech Representations Learning*, 2020: the systems of this notebook.
# - G. Chrupała and others, *Representations of Language in a Model of Visually Grounded Speech Signal*, 2017; D. Merkx and others, *Language Learning Using Speech to Image Retrieval*, 2019; O. Scharenborg and others, *Speech Technology for Unwritten Languages*, 2020.
# - Q. McNemar, *Note on the Sampling Error of the Difference between Correlated Proportions or Percentages*, 1947.
# - T. Dietterich, *Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms*, 1998.
# - B. Efron and R. Tibshirani, *An Introduction to the Bootstrap*, 1993.
