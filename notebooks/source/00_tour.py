# %% [markdown]
# # Speak, and the picture answers
#
# Nobody told this model which word belongs to which thing. It saw pictures, heard captions that describe them, and had to find out by itself: pictures and captions that belong together should match. Now say *a frog*, and the frog lights up.
#
# **You will** prompt pictures with your own voice, watch where the model looks while each word is heard, and do the same in four lines of Python.
#
# **You need** nothing but a microphone, and not even that: recordings by people are included. **It takes** ten minutes; the cells run in less than a minute.
#
# **How:** choose *Run > Run All Cells*, then scroll down to the pictures.

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
# Yellow is a place that matches the sound strongly, dark blue one that does not; the range is the same for every prompt, so colours can be compared over time. The strip under the waveform shows the strongest match of each moment. The five best are chosen among 200 pictures.
#
# ## 2. The same in Python
#
# A picture is encoded once, into a grid of vectors; the sound into one vector per moment. The product of every place with every moment is the **matchmap**, and the heat is nothing else. Here a person says a word that the model never heard from a person's mouth while it learned.

# %%
clip = tour.clips["people-animals/amphibians/frog"]
picture = next(p for p in tour.pictures.values() if clip.title in p.masks)
waveform, rate = clip.load()

prompt = tour.wait().prompter.prompt(waveform, rate, picture=picture.id)
prompt.heat.shape  # moments, rows, columns

# %%
# NBVAL_CHECK_OUTPUT
mask = picture.masks[clip.title]
x, y = prompt.peak()
inside = mask[int(y * mask.shape[0]), int(x * mask.shape[1])]
print(f"The hottest place lies inside what was named ({clip.title}):", bool(inside))

# %%
figure = prompt_figure(prompt, picture.load(), title=f"A person says: {clip.title}")
with_alt(figure, f"The place of {clip.title} is lit in a picture of {picture.title}")

# %% [markdown]
# ## 3. Your turn
#
# At which second is the model surest? Compute it from `prompt.heat` (shape `[T, H, W]`: moments, rows, columns) and `prompt.seconds_per_frame`.

# %%
from vgs_lib.exercises.tour import check_moment

# SOLUTION
moment = prompt.heat.max(axis=(1, 2)).argmax() * prompt.seconds_per_frame
# BLANK
# moment = None  # your answer, in seconds
# END
check_moment(moment, prompt)

# %% [markdown]
# **Without code:** find a word that lights up the wrong thing. Does another voice help? Longer words? A sentence around it?
#
# ## What you saw
#
# - From pairs of pictures and spoken captions alone a model learns which sounds name which places.
# - The matchmap says **where** and **when**; its best matches, averaged over time, say **which picture**.
# - Speech of people is harder than that of synthetic voices: all the captions that it learned from were synthetic.
#
# The ear of this model is not new-born: it starts from the speech encoder of Whisper, which was trained on transcribed speech. The idea is from D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019.
