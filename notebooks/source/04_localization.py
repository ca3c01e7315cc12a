# %% [markdown]
# # A spoken word marks a region, and the region can be measured
#
# The model was never told where a frog is in a picture, yet the word *a frog* lights up a place. Is it the right place, and all of the frog? Here you choose a part of a sound by hand, look at what it lights up, and then measure it on hundreds of words beside baselines that need no model at all.
#
# **You will** drag a span over a caption and watch the [heatmap](glossary.md#heatmap) change; move a [threshold](glossary.md#threshold) and read [IoU](glossary.md#iou), [IoD](glossary.md#iod), [IoT](glossary.md#iot), [pointing](glossary.md#pointing) and [average precision](glossary.md#average-precision); choose the threshold the honest way; and compare the model with marking everything, the middle, or places at random.
#
# **You need** [00_tour](00_tour.ipynb), a little Python, and no mathematics beyond fractions. **It takes** 40 minutes; the cells run in 40 seconds on two cores.
#
# **How:** choose *Run > Run All Cells*, then read from the top. Exercises say what is still missing.

# %% tags=["parameters"]
num_validation = 60  # scenes on which the threshold is chosen
num_test = 120  # scenes on which everything is measured, about 300 words
num_pictures = 12  # pictures to explore by hand
seed = 0  # which scenes

# %%
import torch
from IPython.display import Markdown

from vgs_lib import localization
from vgs_lib.checkpoints import load_model, read_config
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.evaluation import localization_scores as measures
from vgs_lib.figures import localization as localization_figures
from vgs_lib.viz import with_alt
from vgs_lib.widgets import Localizer, tour_material

# %%
stamps = Stamps.open()
model = load_model("stamps-demo")
shipped = read_config("stamps-demo")["extra"]["threshold"]
print(f"The model comes with a threshold of {shipped:.3f} (a cosine), chosen on validation scenes.")

# %% [markdown]
# ## 1. Drag over the sound
#
# **Predict first.** A caption names two things. You select the first name only: what lights up? Now half of the first name and half of the second one? And the silence between them?
#
# 1. Choose a picture. Its [caption](glossary.md#caption) appears as a waveform with its words.
# 2. Click a word, or drag from anywhere to anywhere; **Play span** plays what you selected. With the keyboard: the arrow keys move the start, with Shift the end.
# 3. Move the threshold. The orange line is the region that is *marked*; the dashed white line is the [mask](glossary.md#mask) of the thing that the nearest word names.
# 4. Speak a word yourself, or choose a clip. If it is no caption, tell the widget under *compare with* what you named.

# %%
pictures, clips = tour_material(
    stamps, split="validation", num_scenes=num_pictures, num_pictures=num_pictures, seed=seed
)
localizer = Localizer(model, pictures, clips, threshold=shipped)
localizer

# %% [markdown]
# These are validation pictures on purpose. Whoever looks at test pictures while moving the threshold chooses it on them, even without meaning to.
#
# You may have seen that the second half of a name is often as good as all of it, while the first half, which holds the article, is not; that a span over two names lights up mostly the one that points more clearly; and that even the silence after a word lights up *something*, hotter than the threshold. A frame hears its surroundings, and nobody ever taught this model to answer "nothing here".
#
# ## 2. From a span to a heatmap
#
# The picture is a grid of [embeddings](glossary.md#embedding), the caption one embedding for each [frame](glossary.md#frame) of 0.08 s. The heat of a span is the cosine of every place with the mean of the span's frames. Two refinements help: a frame counts by how clearly it points at *some* place, and places that look alike share their heat. One call does all of it for every name in a caption.

# %%
scene = Scenes(stamps, "validation", seed=seed)[3]
found = measures.locate_words(model, [scene])
titles = [f"{word.text}\n{word.start:.2f} to {word.end:.2f} s" for word in found]
figure = localization_figures.region_figure([scene.picture] * len(found), found, shipped, titles=titles)
named = ", ".join(word.text for word in found)
with_alt(figure, f"One picture, once for each name of its caption ({named}), with the region it marks", photo=True)

# %% [markdown]
# ## 3. Two regions: how much do they share?
#
# **Predict first.** You mark the whole picture. Which of the three is then 1, and which one is small?
#
# - **IoU**, intersection over union: what both share, of what either covers. 1 only if they are the same.
# - **IoD**, intersection over detection: what they share, of what was *marked*. Low if you mark too much. Elsewhere it is called precision.
# - **IoT**, intersection over target: what they share, of the *thing*. Low if you mark too little. Elsewhere: recall.

# %%
word = found[0]
region = localization.upsample(word.heat, tuple(word.mask.shape)) >= shipped
everything = torch.ones_like(region)
for name, marked in (("the model's region", region), ("the whole picture", everything)):
    values = [f(marked.float(), word.mask, 0.5) for f in (localization.iou, localization.iod, localization.iot)]
    print(f"{name:20} IoU {values[0]:.3f}   IoD {values[1]:.3f}   IoT {values[2]:.3f}")

# %% [markdown]
# Marking everything misses nothing, so its IoT is 1, but its IoU is only the thing's share of the picture. That is why one number alone can mislead, and why a baseline belongs beside it.
#
# **Exercise 1.** Compute the IoU of `region` and `word.mask` yourself. Both are tensors of `True` and `False`; `a & b` is true where both are, `a | b` where at least one is, and `.sum()` counts.

# %% tags=["exercise"]
from vgs_lib.exercises.localization import check_iou

# SOLUTION
answer = (region & word.mask).sum() / (region | word.mask).sum()
# BLANK
# answer = None  # a share from 0 to 1
# END
check_iou(answer, region, word.mask)

# %% [markdown]
# ## 4. Pointing, and what luck gives
#
# The pointing game asks less: is the single hottest place on the thing? It needs no threshold, and a heatmap that lights up only the frog's eye wins it. Over many words, pointing is the share of hits.
#
# **Exercise 2.** Write the function. `heat` and `mask` have the same shape, rows by columns; `heat.argmax()` counts the places row after row, and so does `mask.flatten()`.

# %% tags=["exercise"]
from vgs_lib.exercises.localization import check_pointing


def points_at(heat, mask):
    # SOLUTION
    return mask.flatten()[heat.argmax()]
    # BLANK
    # ...  # true if the hottest place lies in the mask
    # END


check_pointing(points_at)

# %% [markdown]
# **Exercise 3.** Somebody points at a random place of this picture. With which probability is it on the first thing named, `word.mask`? Answer with a formula, not with a simulation.

# %% tags=["exercise"]
from vgs_lib.exercises.localization import check_random_pointing

# SOLUTION
answer = word.mask.double().mean()
# BLANK
# answer = None  # a probability from 0 to 1
# END
check_random_pointing(answer, word.mask)

# %% [markdown]
# So the [chance level](glossary.md#chance-level) of pointing is the thing's share of the picture, the same number as the IoU of marking everything. It differs from word to word: a large thing is easy to hit.
#
# ## 5. Choose the threshold, but not on test
#
# **Predict first.** As the threshold rises, what happens to IoT, to IoD, and to IoU?
#
# The next cell encodes some validation scenes; it takes about fifteen seconds.

# %%
validation = Scenes(stamps, "validation", seed=seed)
held_out = measures.locate_words(model, (validation[i] for i in range(num_validation)))
heats, masks = [word.heat for word in held_out], [word.mask for word in held_out]
len(held_out)  # words

# %%
thresholds = torch.linspace(0.0, 0.6, 41)
means = measures.threshold_curves(heats, masks, thresholds)
{name: values.shape for name, values in means.items()}  # one mean for each threshold

# %% [markdown]
# **Exercise 4.** Which of the `thresholds` has the greatest mean IoU? `means["iou"]` has one value for each of them.

# %% tags=["exercise"]
from vgs_lib.exercises.localization import check_threshold

# SOLUTION
answer = thresholds[means["iou"].argmax()]
# BLANK
# answer = None  # a cosine
# END
check_threshold(answer, thresholds, means["iou"])

# %%
chosen, best = localization.best_threshold(heats, masks, thresholds)
marks = {"chosen here": chosen, "of the checkpoint": shipped}
figure = localization_figures.sweep_figure(thresholds, means, marks=marks)
with_alt(figure, f"Mean IoU, IoD and IoT against the threshold: IoU is greatest, {best:.2f}, at {chosen:.3f}")

# %% [markdown]
# A low threshold marks much: IoT is high, IoD low. A high one is sure of what it marks and misses the rest. IoU has its best value in between, and near it the curve is flat: your choice and that of the checkpoint, which saw 500 scenes, differ little in IoU.
#
# ## 6. Measure, beside baselines
#
# Now the test scenes, told by voices that nobody trained or tuned on. Three baselines do the same task without looking or listening:
#
# - **full frame** marks everything (harwath2019, table 4);
# - **centre** always points at the middle;
# - **random** is noise.
#
# Each has a threshold of its own, the best on validation, so that none loses by a bad threshold.
#
# **Predict first.** Which baseline points best? Which has the best IoU? The cells take about 25 seconds.

# %%
test = Scenes(stamps, "test", seed=seed)
words = measures.locate_words(model, (test[i] for i in range(num_test)))
targets, scenes = [word.mask for word in words], [word.scene for word in words]
scores = {"stamps-demo": measures.word_scores([word.heat for word in words], targets, chosen)}
tuning = measures.baseline_heats(held_out, seed=seed + 10_000)
for name, maps in measures.baseline_heats(words, seed=seed).items():
    threshold, _ = localization.best_threshold(tuning[name], masks)
    scores[name] = measures.word_scores(maps, targets, threshold)

# %%
rows = {name: measures.summary(values, groups=scenes, seed=seed) for name, values in scores.items()}
Markdown(localization_figures.scores_table(rows, first=f"{len(words)} words of {num_test} test scenes"))

# %% [markdown]
# In brackets stands the 95 % [bootstrap interval](glossary.md#bootstrap-interval): whole scenes are drawn, because the words of one scene are not independent. Noise does best when it marks nearly everything, so its IoU is that of the full frame: an IoU is only as good as its distance from that.
#
# Is the model better than all three, or could that be luck? Compare the lower end of its interval with their upper ends.

# %%
# NBVAL_CHECK_OUTPUT
best_baseline = max(rows[name]["iou"][2] for name in ("full frame", "centre", "random"))
print("The model's IoU lies above every baseline's interval:", rows["stamps-demo"]["iou"][1] > best_baseline)

# %% [markdown]
# What harwath2019 reached on photographs (ADE20K, one hundred words, each the mean of its spoken instances; the heat is cut at half), with the concepts that its systems learnt. Stamps on a background are far easier, so the numbers cannot be compared; the distance of each row from the full frame can be read in the same way.

# %%
from vgs_lib.benchmark.leaderboard import published_localization_table

Markdown(published_localization_table())

# %% [markdown]
# ### Small, medium and large things
#
# **Predict first.** Are small things harder for the model? Are they harder for the baselines?
#
# Small: less than 4 % of the picture, large: 10 % and more.

# %%
sizes = [measures.object_size(mask) for mask in targets]
figure = localization_figures.size_figure(scores, sizes, scenes)
with_alt(figure, "Bars of IoU, pointing and average precision by size of the thing: the model and three baselines")

# %% [markdown]
# For the baselines a large thing is easier simply because there is more of it to hit. Read the model's bars as a distance from theirs.
#
# ### Word by word
#
# A mean hides the failures. Each word has its own scores; here are the five worst and the five best by IoU.

# %%
Markdown(localization_figures.words_table(words, scores["stamps-demo"]))

# %% [markdown]
# Look at what went wrong. Was the right thing missed altogether, was it cut off at its most telling part, or did something else light up as well?

# %%
worst = torch.argsort(scores["stamps-demo"]["iou"])[:8].tolist()
chosen_words = [words[row] for row in worst]
titles = [f"{words[row].text}\nIoU {float(scores['stamps-demo']['iou'][row]):.2f}, {sizes[row]}" for row in worst]
shown = [test[word.scene].picture for word in chosen_words]
figure = localization_figures.region_figure(shown, chosen_words, chosen, titles=titles)
with_alt(figure, "The eight words with the lowest IoU: " + ", ".join(word.text for word in chosen_words), photo=True)

# %% [markdown]
# ## 7. Your own pictures
#
# `Localizer` takes any pictures and recordings. A mask is needed for the scores, not for the heat:
#
# ```python
# from vgs_lib.audio import read_audio
# from vgs_lib.widgets import Clip, Localizer, Picture, Word
#
# caption = Clip("mine", "a dog and a ball", "Captions", lambda: read_audio("mine.wav"),
#                (Word("a dog", 0.1, 0.6), Word("a ball", 0.9, 1.5)))
# picture = Picture("mine", "a dog and a ball", lambda: pixels, caption, {"a dog": dog_mask, "a ball": ball_mask})
# Localizer(model, [picture], threshold=shipped)
# ```
#
# `pixels` is uint8 `[H, W, 3]`, a mask is `True` and `False` of the same height and width. To measure, give `locate_words` scenes with a `picture`, a `waveform`, `words` and `objects`.
#
# ## What you saw
#
# - A span of speech becomes a heatmap by comparing its frames with every place; a threshold turns heat into a region.
# - IoD asks how much of the marked region is right, IoT how much of the thing was found, IoU both at once. Pointing asks for one place only, average precision for the order of all places at every threshold.
# - The threshold is chosen on validation. Test is looked at once.
# - Marking everything has the IoU of the thing's share of the picture, and a random place points with that probability: numbers mean little without their chance.
# - The model finds nearly every thing, but marks its telling part rather than its outline: pointing is high, IoU is well below 1.
#
# ## Further reading
#
# - D. Harwath, A. Recasens, D. Surís, G. Chuang, A. Torralba, J. Glass, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, IJCV 2019 (harwath2019): section 5.3 is this notebook on photographs; its best model reaches a mean IoU of .16 where the full frame has .11.
# - J. Zhang, S. A. Bargal, Z. Lin, J. Brandt, X. Shen, S. Sclaroff, *Top-Down Neural Attention by Excitation Backprop*, IJCV 2018: the pointing game.
# - M. Hamilton, A. Zisserman, J. R. Hershey, W. T. Freeman, *Separating the "Chirp" from the "Chat": Self-supervised Visual Grounding of Sound and Language*, CVPR 2024: a later model and a benchmark for prompting with speech.
# - T.-Y. Lin and others, *Microsoft COCO: Common Objects in Context*, ECCV 2014: small, medium and large things.
