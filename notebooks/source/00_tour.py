# %% [markdown]
# # Speak, and the picture answers
#
# Nobody told this model which word belongs to which thing. It saw pictures, heard captions that describe them, and had to find out by itself: pictures and captions that belong together should match. Now say *a frog*, and the frog lights up.
#
# **You will**
# - prompt pictures with your own voice, and watch where the model looks while each word is heard;
# - do the same in four lines of Python;
# - say when, where and at which rank the model found what you named, and compare that with chance.
#
# **You need** nothing but a microphone, and not even that: recordings by people are included. A little Python helps from section 2 on.
#
# **It takes** twenty minutes; the cells run in about ten seconds on two cores.
#
# **How:** choose *Run > Run All Cells*, then scroll down to the pictures. The cell below is the only one with something to set.

# %% tags=["parameters"]
spoken = "people-animals/amphibians/frog"  # the recording of section 2; tour.clips lists them all

# %%
from vgs_lib.checkpoints import load_model
from vgs_lib.data.stamps import Stamps
from vgs_lib.viz import prompt_figure, with_alt
from vgs_lib.widgets import Tour

stamps = Stamps.open()
model = load_model("stamps-demo")

# %% [markdown]
# ## 1. Try it
#
# **Predict first.** In a picture with a frog and a drum you say "a frog". When will the frog light up: before the word, while it is heard, or after it? And what lights up if you name something that is not in the picture?
#
# 1. Press **▶** on a picture: it describes itself. Watch the words and the light move together; drag the slider to hear with your eyes.
# 2. Press **Record**, name something in the picture, press **Stop**. Click one of the five best pictures.
# 3. No microphone? Choose a clip. Try the same thing said by a person and by a synthetic voice.

# %%
tour = Tour(model, stamps)
tour

# %% [markdown]
# Yellow is a place that matches the sound strongly, dark blue one that does not; the colours of all moments and pictures of a prompt can be compared. The range is the same for every prompt but the strongest ones, which raise its upper end: the numbers beside the colour bar say so, and then two [heatmaps](glossary.md#heatmap) are compared by them. *Whole prompt* draws its own peak as strongly as the strongest moment. The strip under the waveform shows the strongest match of each moment. The five best are chosen among 200 pictures.
#
# ## 2. The same in Python
#
# A picture is encoded once, into a grid of vectors; the sound into one vector per moment, a [frame](glossary.md#frame). Such vectors are [embeddings](glossary.md#embedding). The product of every place with every moment is the [matchmap](glossary.md#matchmap), and the heat is nothing else. Here a person says a word that the model never heard from a person's mouth while it learned.
#
# **Predict first.** The word takes less than a second. How many moments, rows and columns will its heat have?

# %%
clip = tour.clips[spoken]
picture = next(p for p in tour.pictures.values() if clip.title in p.masks)
waveform, rate = clip.load()

prompt = tour.wait().prompter.prompt(waveform, rate, picture=picture.id)
prompt.heat.shape  # moments, rows, columns

# %% [markdown]
# A moment is 0.08 s long, and each place is one of 28 x 28. Now compare the hottest place with the mask, the pixels that show what was named. The model was never given a mask: masks are there to measure it.

# %%
# NBVAL_CHECK_OUTPUT
mask = picture.masks[clip.title]
x, y = prompt.peak()
inside = mask[int(y * mask.shape[0]), int(x * mask.shape[1])]
print(f"The hottest place lies inside what was named ({clip.title}):", bool(inside))

# %% [markdown]
# And the whole of it: the heat over the picture, four moments, and the waveform with the span that matches best.

# %%
figure = prompt_figure(prompt, picture.load(), title=f"A person says: {clip.title}")
with_alt(figure, f"The place of {clip.title} is lit in a picture of {picture.title}", photo=True)

# %% [markdown]
# ## 3. Your turn
#
# Each cell below has a blank. Fill it in and run the cell: the check says what is wrong without giving the answer away.
#
# **When?** At which second is the model surest? Compute it from `prompt.heat` (shape `[T, H, W]`: moments, rows, columns) and `prompt.seconds_per_frame`.

# %% tags=["exercise"]
from vgs_lib.exercises.tour import check_moment

# SOLUTION
moment = prompt.heat.max(axis=(1, 2)).argmax() * prompt.seconds_per_frame
# BLANK
# moment = None  # your answer, in seconds
# END
check_moment(moment, prompt)

# %% [markdown]
# **Where, and was it luck?** The hottest place was inside the thing. Somebody who points at random pixels hits it too, now and then. How often that happens is the [chance level](glossary.md#chance-level), which a model has to beat. Compute it for this picture from `mask` (bool `[H, W]`, true where the thing is).

# %% tags=["exercise"]
from vgs_lib.exercises.tour import check_chance

# SOLUTION
chance = mask.mean()
# BLANK
# chance = None  # your answer, a probability from 0 to 1
# END
check_chance(chance, mask)

# %% [markdown]
# **Which picture?** The same recording searches all 200 pictures. Each match has an `id` and a `score`, the best one comes first. Is it what was named?

# %%
found = tour.prompter.prompt(waveform, rate, num_best=200).best
[(match.id, round(match.score, 1)) for match in found[:3]]

# %% [markdown]
# At which rank is `picture.id`, the scene of section 2? The best match has rank 1. Ranks are what [recall at k](glossary.md#recall-at-k) and the [median rank](glossary.md#median-rank) are made of.

# %% tags=["exercise"]
from vgs_lib.exercises.tour import check_rank

# SOLUTION
rank = 1 + [match.id for match in found].index(picture.id)
# BLANK
# rank = None  # your answer
# END
check_rank(rank, found, picture.id)

# %% [markdown]
# **Without code:** find a word that lights up the wrong thing. Does another voice help? Longer words? A sentence around it?
#
# ## What you saw
#
# - From pairs of pictures and spoken [captions](glossary.md#caption) alone a model learns which sounds name which places.
# - The matchmap says **where** and **when**; its best matches, averaged over time, say **which picture**.
# - A figure means something beside its chance level only: a hit on a thing that fills the picture is worth nothing.
# - Speech of people is harder than that of synthetic voices: all the captions that it learned from were synthetic.
#
# The ear of this model is not new-born: it starts from the speech encoder of Whisper, which was trained on transcribed speech.
#
# ## Further reading
#
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019: the idea, and the matchmap.
# - A. Radford and others, *Robust Speech Recognition via Large-Scale Weak Supervision*, 2022: Whisper, where this model's ear comes from.
# - The [glossary](glossary.md) explains the words of the field. Next: [the data that the model learned from](01_data.ipynb).
