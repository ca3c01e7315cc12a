# %% [markdown]
# # Whoever knows green and knows tigers should know a green tiger
#
# A child who has seen horses and has heard of stripes knows a zebra at first sight. Does a model that learns from pictures and speech combine what it knows in this way, or does it learn each combination by heart? tian2020 asked this question of birds and flowers; here you ask it of things that are recoloured, resized and described aloud, so that exactly one thing is new in each test and the truth is exact.
#
# **You will**
# - see and hear described things, and a design that holds pairs of attributes and things out of training;
# - train a model within a minute and compare pairs that it was trained on with pairs that it was not, beside chance and intervals;
# - find out which part of a description it gets wrong, and let attention between picture and speech put its best answers in order;
# - look at what a small copy of tian2020's system attends to, in the picture and over time.
#
# **You need** [the retrieval notebook](03_retrieval.ipynb) and [the training notebook](02_train.ipynb). **It takes** 50 minutes of reading and trying; the cells run in about two minutes on two cores, and a minute and a half longer when the frozen features are computed for the first time.
#
# **How:** run the cells from top to bottom. Where it says *predict first*, decide before you run the next cell.

# %% tags=["parameters"]
things = "bear bus camel cow dog duck elephant frog giraffe hammer horse lion mushroom owl pig pineapple rabbit rocket strawberry teapot tiger tractor violin whale"  # to describe
num_scenes = 600  # to train on
steps = 120  # of the run
per_class = 3  # test scenes of each class; more make the intervals narrower
num_more = 300  # further training scenes, for the re-ranker
own_steps = 40  # of the small copy of tian2020's system
runs_folder = "09_fine_grained"  # the run is kept under this name
results = ""  # folder of your own that `reproduce --out` wrote; "" takes `results`

# %% [markdown]
# ## 1. Described things
#
# Each picture shows a thing in one of seven colours and two sizes. At times there is a second thing, which differs in its colour, its size or its noun alone, so that no single word of the description settles it. The caption describes the first thing.
#
# Go through the pictures and listen. The two groups differ in one respect that you cannot see: what the pairs in the second group have in common becomes clear in the next section.

# %%
from dataclasses import replace

from vgs_lib.batches.attribute_batches import AttributeHeldOut
from vgs_lib.data.stamps import Stamps
from vgs_lib.studies.attribute_study import DESCRIBED_THINGS, AttributeStudy
from vgs_lib.widgets import SceneExplorer, described_pictures

data = replace(DESCRIBED_THINGS.data, num_scenes=num_scenes, takes=1, word_takes=1)
often = replace(DESCRIBED_THINGS.fit, evaluate_every=20)
nouns = tuple(things.split())
study = AttributeStudy(Stamps.open(), base=replace(DESCRIBED_THINGS, data=data, fit=often), nouns=nouns)
splits = ("test", "test-unseen")
SceneExplorer({split: described_pictures(study.scenes(split), range(8)) for split in splits})

# %% [markdown]
# ## 2. What exactly is new
#
# tian2020 tests on species of birds that were not in training. But what is new about such a bird: its colours, its shape, or how they go together? Here the [splits](glossary.md#split) are made so that one thing is new. Every colour, size and noun is trained. Some [pairs of an attribute and a noun](glossary.md#attribute-object-pair) never occur in training, neither in a picture (but for blurred backgrounds) nor in a caption: those of `validation-unseen`, used for choices, and those of `test-unseen`. The frozen networks underneath have seen photographs of the world, so *new* means new to what is trained here.

# %%
from vgs_lib.figures.descriptions import design_figure
from vgs_lib.viz import with_alt

design = study.scenes("test").design
with_alt(design_figure(design, nouns), "Nouns by attributes; two colours of each noun and some sizes are held out")

# %% [markdown]
# The splits `test` and `validation` are the control: pairs that training has too, dealt in the same way, as many of them, in other pictures told by the same unheard voices. Without a control, a low figure on unseen pairs says nothing: the voices or the pictures might be hard.
#
# The two sides of the red line are not equally clean. A noun whose colour is held out has five other colours in training. A noun whose size is held out is trained in its other size only, and in half as many descriptions: what is missing there is more than one pair. So **the colour pairs are the comparison to believe**.
#
# ### Exercise 1: which pairs are new?
#
# A description has `size`, `colour` and `noun`; its pairs are (colour, noun) and (size, noun). `trained` is the set of the pairs of all training descriptions. Write a function that returns the set of those that are new.

# %% tags=["exercise"]
from vgs_lib.exercises.fine_grained import check_new_pairs


def new_pairs(description, trained):
    # SOLUTION
    pairs = {(description.colour, description.noun), (description.size, description.noun)}
    return pairs - trained
    # BLANK
    # ...
    # END


check_new_pairs(new_pairs, design)

# %% [markdown]
# ### Exercise 2: chance
#
# A caption is right for every picture of its class (size, colour and noun). A test split has `num_classes` classes and `per_class` pictures of each. What is [recall at 1](glossary.md#recall-at-k) at [chance](glossary.md#chance-level)?

# %% tags=["exercise"]
from vgs_lib.exercises.fine_grained import check_class_chance

num_classes = study.scenes("test").num_classes
# SOLUTION
chance = per_class / (num_classes * per_class)
# BLANK
# chance = None  # a share from 0 to 1, from num_classes and per_class
# END
check_class_chance(chance, num_classes, per_class)

# %% [markdown]
# ## 3. Train
#
# The model is that of [the training notebook](02_train.ipynb): frozen networks for pictures and speech, small trained layers behind them, [MISA](glossary.md#misa) and [InfoNCE](glossary.md#infonce). A caption that is true of another picture of the [batch](glossary.md#batch), be it of the second thing in it, is no [impostor](glossary.md#impostor).
#
# **Predict first.** On validation, recall at 1 is measured for seen and for unseen pairs. Will the curve of the unseen pairs stay at chance, lie below the other by a constant, or fall behind more and more?

# %%
from vgs_lib import paths
from vgs_lib.widgets import TrainingDashboard

dashboard = TrainingDashboard(study, paths.runs() / runs_folder)
dashboard

# %%
from vgs_lib.figures.descriptions import seen_and_unseen_curves

run = dashboard.train(name="described-things", steps=steps)
with_alt(seen_and_unseen_curves(run), "Recall at 1 on seen and on unseen pairs over the steps, with chance")

# %% [markdown]
# Both curves rise: what helps to find an unseen pair is learnt from other pairs. Does that take the colour word at all? Section 4 asks.
#
# ## 4. Seen against unseen
#
# Validation chose among the weights; the figures come from the test splits. tian2020 reports R@1 and **mAP@50**: of the 50 best candidates, how early do those of the right class come? Each is one [average precision](glossary.md#average-precision), cut off at 50.
#
# ### Exercise 3: average precision at 50
#
# Go down the list. At each right entry among the first 50, note the share of right entries down to there. Add these shares and divide by the number of right candidates (`num_right`, at most 50), also those that were not found. (The list may end after 50 entries, before all right ones are found.)

# %% tags=["exercise"]
from vgs_lib.exercises.fine_grained import check_average_precision


def average_precision_at_50(right, num_right):
    # SOLUTION
    shares = [sum(right[:place]) / place for place, one in enumerate(right[:50], start=1) if one]
    return sum(shares) / min(num_right, 50)
    # BLANK
    # ...  # right: a list of True and False, the best candidate first
    # END


check_average_precision(average_precision_at_50)

# %% [markdown]
# **Predict first.** How much lower will R@1 be on unseen colour pairs: by nothing, by a tenth of it, by half of it? And on size pairs?

# %%
from vgs_lib.batches.held_out import maps_of
from vgs_lib.figures.descriptions import compared_figure
from vgs_lib.studies.attribute_study import attribute_figures

model = dashboard.controller.load(run.name)
test = {split: AttributeHeldOut(study.scenes(split), per_class) for split in splits}
for held_out in test.values():
    list(held_out.fill(model))  # the frozen features, computed once
maps = {split: maps_of(model, one, one.same_class) for split, one in test.items()}
found = {split: attribute_figures(maps[split], one) for split, one in test.items()}
names = dict(zip(splits, ("seen pairs", "unseen pairs"), strict=True))
colours = {names[split]: figures["colour"] for split, figures in found.items()}
figure = compared_figure(colours, title="Colour pairs, test")
with_alt(figure, "R@1 and mAP@50 of seen and unseen colour pairs, both ways, with intervals and chance")

# %% [markdown]
# The same for the pairs of a size and a noun:

# %%
sizes = {names[split]: figures["size"] for split, figures in found.items()}
figure = compared_figure(sizes, title="Size pairs, test")
with_alt(figure, "R@1 and mAP@50 of seen and unseen size pairs, both ways, with intervals and chance")

# %% [markdown]
# Is that more than guessing?

# %%
# NBVAL_CHECK_OUTPUT
for name, one in colours.items():
    reached = one["speech_to_image"]
    print(f"{name}: R@1 is at least five times chance:", reached["r1"] >= 5 * reached["r1_chance"])

# %% [markdown]
# Unseen pairs are found many times as often as chance. Does the model then combine colours with things? Not so fast: in a split of unseen pairs most nouns come in one colour only, so whoever hears the size and the noun, and is deaf to colours, finds most of them.
#
# With the parameters above there are only 36 queries on size pairs, about four nouns, and seen and unseen pairs have different nouns. Their wide intervals say so.
#
# ### A choice that only the colour decides
#
# So ask for the colour alone. Each caption is put before two pictures of the same thing in the same size: one in the colour that is said, one in another colour, from the other split. (And each picture before two such captions.) Whoever is deaf to the colour wins half of the choices; or all in one split and none in the other, if it likes one kind of picture better. So read both splits together: **their mean is .5 without hearing the colour**. The intervals draw nouns.
#
# **Predict first.** A model whose R@1 on unseen pairs is .5: how many of these choices will it win?

# %%
from vgs_lib.studies.attribute_choice import colour_choice

for name, ways in colour_choice(model, maps, test).items():
    for way, one in ways.items():
        low, high = one["share_ci"]
        print(
            f"{names.get(name, 'mean of both'):>12}, {way}: the named colour wins {one['share']:.2f} [{low:.2f}, {high:.2f}]"
        )

# %% [markdown]
# A mean clearly above one half says that the colour is heard, on things that it was never heard with, too. If it is near one half, the recall above was earned by sizes and nouns, and the figure with the larger numbers was the one that misled. And compare the two splits: a model that takes any picture of a pair that it was trained on for the better one wins more on seen pairs and less on unseen ones. A longer run says more: leave `nouns` out for all 48, and raise `num_scenes` and `steps`.
#
# ### What goes wrong?
#
# In a best picture that is wrong, the *described* thing can still be the right noun, or of the right colour. The chance levels of these parts are high, so read them beside the shares.

# %%
from vgs_lib.studies.attribute_parts import right_parts

for split, one in test.items():
    parts = right_parts(maps[split].scores, one.classes, queries=one.tested("colour"))
    said = ", ".join(f"{part} {share:.2f} (chance {guess:.2f})" for part, (share, guess) in parts.items())
    print(f"{names[split]:>12}: {said}")

# %% [markdown]
# Compare each share with its chance level first: guessing is right about the size every second time. Which part goes wrong, and which of them more often on unseen pairs? A guess at the reason: what the model has heard with this colour were other things. How would you test it?
#
# ## 5. Where each word looks
#
# Play a caption of an unseen pair: the colour word should light up what has the colour, the noun what it names. Only the score that sums both up decides, and it never asks whether both lit up the *same* place.

# %%
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import MatchmapPlayer

unseen = study.scenes("test-unseen")
number = next(i for i in range(99) if len({thing.noun for _, thing in unseen[i].things}) == 2)
(shown,) = described_pictures(unseen, [number])
prompter = Prompter(model)
prompter.add_pictures([shown.id], [shown.load()])
player = MatchmapPlayer()
player.show(shown, prompter.prompt(*shown.caption.load()), title=shown.caption.title, words=shown.caption.words)
player

# %% [markdown]
# ## 6. Let picture and speech read each other
#
# The encoders of this model, as those of tian2020, never meet before the score. For a picture with a red tiger and a green frog, MISA lets “green” find the frog and “tiger” find the tiger, and is content: a false “green tiger” can score as high as a true one. tian2020 names attention between the two sides as what should come next (section 6.2). It does not build it; we do.
#
# A network that reads a picture and a caption together has to run for every pair. With a million pictures nobody can wait for that. So the dual encoder searches, and a [re-ranker](glossary.md#re-ranking) puts only its ten best candidates in order: frames attend to places, places attend to frames ([cross-attention](glossary.md#cross-attention)), twice, and a number comes out that is added to the old score. It reads the dual encoder's own maps, and learns to tell the true candidate from those that the dual encoder itself takes for right, on `num_more` training scenes that the dual encoder has not seen.
#
# **Predict first.** Can the order of ten candidates change R@10? What is the most that R@1 can gain?
#
# First on made-up maps, where nothing else can go wrong: a place holds the vector of its colour plus that of its thing, a frame one of the two, and of every picture there is another one with the colours swapped. Both score exactly the same.

# %%
import torch

from vgs_lib.encoders.cross_attention import Reranker
from vgs_lib.search.reranking import figures
from vgs_lib.search.reranking_training import RerankSettings, fit_reranker
from vgs_lib.search.swapped_pairs import swapped_pairs

torch.manual_seed(0)
binder = Reranker(16, weight=1.0, dropout=0.0)
settings = RerankSettings(steps=150, queries=32, candidates=4, learning_rate=3e-3, evaluate_every=50)
list(fit_reranker(binder, swapped_pairs(160, seed=0), [swapped_pairs(40, seed=1)], settings))
said = figures(binder, swapped_pairs(40, seed=2))["speech_to_image"]
print(f"R@1 {said['r1_before']:.2f} before, {said['r1_after']:.2f} after")

# %% [markdown]
# So such a network can learn to bind. Now on the real maps. Is there anything to bind? Two things of one picture differ in one attribute alone, so no picture has a tiger and something green without having a green tiger: in these scenes a false “green tiger” lacks the tiger or the green altogether.
#
# **Predict first.** Will the re-ranker help all the same?

# %%
from vgs_lib.batches.attribute_batches import true_of
from vgs_lib.batches.held_out import HeldOut

more = HeldOut(study.scenes("train", seed=1), num_more)
list(more.fill(model))
train = maps_of(model, more, true_of([more.scenes[i] for i in range(num_more)]))
validation = [maps_of(model, one, one.same_class) for one in study.validation.values()]
torch.manual_seed(0)
reranker = Reranker(model.image_encoder.dim)
for event in fit_reranker(reranker, train, validation, RerankSettings(steps=80)):
    print(f"step {event.step:3d}: R@1 on validation {event.recall_at_1:.3f}", "(best so far)" * event.is_best)

# %% [markdown]
# Step 0 is the dual encoder's own order: the last layer of the re-ranker starts at zero. The weights of the best evaluation on validation are kept, and the test splits are asked once.

# %%
for split, one in maps.items():
    for way, said in figures(reranker, one).items():
        low, high = said["r1_gain_ci"]
        text = f"R@1 {said['r1_before']:.3f} before, {said['r1_after']:.3f} after, gain {said['r1_gain']:+.3f}"
        print(f"{names[split]:>12}, {way}: {text} [{low:+.3f}, {high:+.3f}]")

# %% [markdown]
# R@10 cannot change, and R@1 can rise to R@10 at most. A gain of exactly 0 means that no evaluation on validation was better than the one before the first step, so that the order of the dual encoder was kept.
#
# If it gained little or nothing in your run: why, when it learns to bind within seconds above? These scenes have nothing to bind. What the dual encoder's maps do not hold, attention over them cannot bring back, and 300 captions are few to learn words from. A re-ranker is worth its price where the right candidates score alike, not where they are not recognised. Raise `steps`, `num_scenes` and `num_more` and see when it begins to help; or think of scenes that would need it.
#
# ## 7. tian2020's own system
#
# Its picture side is a network with [CBAM](glossary.md#cbam), its speech side a pyramid of recurrent layers over the [log-mel](glossary.md#log-mel) [spectrogram](glossary.md#spectrogram) with [attention](glossary.md#attention) over time, its loss a softmax over the batch. Here it is an eighth as wide, on the same frozen picture network, and learns speech from nothing.
#
# ### Exercise 4: the matching loss
#
# For a caption, the probability of its own picture (4.9) is the exponential of `gamma` times its cosine, divided by the sum of such exponentials over the pictures of the batch; pictures that the mask marks (other pairs of the same class) are left out of the sum.

# %% tags=["exercise"]
from vgs_lib.exercises.fine_grained import check_matching


def matching(scores, own, masked, gamma):
    # SOLUTION
    logits = (gamma * scores).masked_fill(masked, -torch.inf)
    return logits.softmax(dim=0)[own]
    # BLANK
    # ...  # scores [B], masked [B] bool; own is the number of the caption's own picture
    # END


check_matching(matching)

# %% [markdown]
# Cosines lie between -1 and 1. With `gamma` 1 the best possible probability among 64 pictures is that of exp(1) against 63 times exp(-1): about 0.1, and the loss can never be small. With `gamma` 100 a difference of 0.1 settles everything, and only the hardest impostor gets a gradient.
#
# A short run, to have something to look at: recall is far from what a long one reaches.

# %%
from vgs_lib.memory import give_back
from vgs_lib.recipes import Scale, recipe, scaled
from vgs_lib.training import fit

give_back()  # memory that training and searching no longer need
plan = scaled(recipe("tian2020"), Scale(width=0.125, dim=256, pictures="lite0"))
short = replace(plan.fit, steps=own_steps, learning_rate=1e-3, evaluate_every=own_steps)
prepared = study.prepare(replace(plan, data=data, fit=short))
list(prepared.batches.fill())
for event in fit(prepared.model, prepared.batches, plan.loss, short, evaluate=prepared.evaluate):
    if hasattr(event, "figures"):
        for name in ("speech_to_image_r10", "unseen_speech_to_image_r10"):
            print(f"{name}: {event.figures[name]:.2f} (chance {prepared.chance[name]:.2f})")

# %% [markdown]
# **Predict first.** Which places of a picture will CBAM weight up, the thing or the background? Which part of a caption will the speech side weight up?

# %%
from vgs_lib.explain.attention import cbam_maps, pooled_attention
from vgs_lib.figures.descriptions import place_weights_figure

own = prepared.model.eval()
scenes = [unseen[i] for i in range(4)]
heats = [cbam_maps(own, scene.picture)[0]["cbam"] for scene in scenes]
pictures = {f"{i + 1}: {scene.description.text}": scene.picture for i, scene in enumerate(scenes)}
figure = place_weights_figure(pictures, heats)
with_alt(figure, "Four pictures and the weights that CBAM gives to their places", photo=True)

# %%
from vgs_lib.figures.descriptions import time_attention_figure

weights = pooled_attention(own, scenes[0].waveform).mean(axis=0)
spans = {word.text: (word.start, word.end) for word in scenes[0].words}
title = "Attention over time, mean over the dimensions"
figure = time_attention_figure(weights, spans, seconds=own.seconds_per_frame, title=title)
with_alt(figure, "Weights over time with the words marked")

# %% [markdown]
# Both are honest pictures of a run that has only begun. Beware of the margins of the CBAM maps: its 7 x 7 convolution reads zeros outside, which is no finding about the pictures. Over time, compare the weights with an even line before you read anything into them. After many more steps this may look different, and you would see it here. What attention is worth is not seen in its maps but in what is lost without it.
#
# ## 8. Gamma, and what each part is worth
#
# These take hours, not a minute, so they are read from records in the folder `results`; a sentence names the command that makes them. Each run trains on 8,000 described things, for gamma and the parts over exactly the same steps, the six systems for the same time, and is judged on the colour pairs of all 48 things, seen and unseen; *colour* is the choice of section 4. The document's own figures stand on birds (CUB-200) and flowers (Oxford-102), and are never mixed with ours.
#
# **Predict first.** From `gamma` 1 to 100, where will recall be best, and will it fall on both sides? Will the best gamma be the same for seen and for unseen pairs, and will the intervals in the figure let you say so?

# %%
from IPython.display import Markdown

from vgs_lib.benchmark.experiment_records import Recorded
from vgs_lib.figures.descriptions import gamma_records_figure

folder = paths.results_folder(results)
gammas = Recorded.read("gamma", folder)
Markdown(gammas.said)

# %%
alt = "Recall at 1 of seen and unseen pairs over gamma, first seed, both ways, with intervals"
with_alt(gamma_records_figure(gammas.records), alt) if gammas.records else "Nothing to draw yet."

# %% [markdown]
# Each claim of the document stands below the table, with our difference in R@1 of unseen pairs; it is *undecided* where the interval contains 0. The interval draws classes of queries; where the column *seeds* says 1, another training could give another verdict.

# %%
Markdown(gammas.table + "\n\n" + gammas.claims)

# %% [markdown]
# The document found its peak at 13 on both of its data sets. Its Table 3.1 lists no validation set for either of them: if 13 was chosen on the test sets, the figures there are a little too good. That is a kind of [leakage](glossary.md#leakage).
#
# **Predict first.** Its ablation takes parts away, replaces one or moves one (Tables 5.6 and 5.7). Which part is worth most: the matching loss, the attention over the picture, or the attention over time? (Here CBAM weights the maps of a frozen network.)

# %%
ablations = Recorded.read("ablations", folder)
Markdown(ablations.missing + "\n\n" + ablations.published)

# %% [markdown]
# The document gives no intervals. The flowers' test set has 1,155 pictures: a share of 0.63 of so many has a standard error of 1.4 percentage points, and of more, since pictures of one species are alike, so that the order of neighbours on Oxford-102 may be the draw of the test. What stands clearly on flowers is the loss, while block 4 and no attention at all are near the edge; on birds (2,933 pictures, .9 percentage points) taking both attentions away costs far more than the draw of the test. Neither says anything about seeds. And ours; of several seeds the mean, the smallest and the largest value. How far apart are the seeds of one system? Which of the differences that are decided with one seed is smaller than that?

# %%
Markdown(ablations.table + "\n\n" + ablations.claims)

# %% [markdown]
# ### Six systems
#
# The document's main table (5.5) puts its system beside five others: with the losses TIMAM, CMPM with CMPC and DSCMR on its own encoders, and the systems of harwath2016 and merkx2019.
#
# **Predict first.** Which of them know the classes of the training things, and does that help with pairs that are new? (CMPC, DSCMR and TIMAM train a classifier of them; the matching loss only leaves pairs of one class out.)

# %%
six = Recorded.read("fine-grained", folder)
Markdown(six.missing + "\n\n" + six.published)

# %%
Markdown(six.table + "\n\n" + six.claims)

# %% [markdown]
# **Without code:** find in section 1 a picture whose caption would be true of another picture if one word were left out. Which word would it be most often, and which part does the model get wrong most often?
#
# **Your own question:** `AttributeStudy(stamps, nouns=..., places=True)` adds “on the left” and “on the right” to things and captions, and any recipe can be its `base`. Do places combine with things as colours do?
#
# ## What you saw
#
# - A test of combining needs a design: one thing is new, everything else is trained, and a control with the same chance level is measured beside it.
# - A high recall is no proof that every word was heard: size and noun nearly name the picture. A choice that only one word decides asks for that word.
# - Where training lacks more than one pair, as with sizes here, a lower figure says less about combining.
# - A score that lets every word choose its own place cannot bind words together; attention between picture and speech can. In these scenes there is nothing to bind wrongly: find out what goes wrong before you build against it.
# - Attention that can be drawn is not an explanation yet: look at it, then measure what it is worth by taking it away.
#
# ## Further reading
#
# - T. Tian, *Visually grounded fine-grained speech representations learning* (tian2020): the question, the system, chapters 4 to 6.
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019 (harwath2019): the maps and similarities that the re-ranker reads.
# - S. Woo and others, *CBAM: Convolutional Block Attention Module*, 2018.
# - J. Lu and others, *ViLBERT: Pretraining Task-Agnostic Visiolinguistic Representations for Vision-and-Language Tasks*, 2019: two sides that read each other.
# - B. Lake and M. Baroni, *Generalization without Systematicity: On the Compositional Skills of Sequence-to-Sequence Recurrent Networks*, 2018: held-out combinations as a test.
