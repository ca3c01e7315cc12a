# %% [markdown]
# # A matchmap is a film with sound
#
# A picture has places, a caption has moments. The model gives every place and every moment a vector, and the product of two vectors says how well this place fits this moment. All products together are the [matchmap](glossary.md#matchmap): a block of numbers with two axes of space and one of time. In this notebook you play it, turn it in space, cut things out of it and take it home as a video.
#
# **You will**
# - compute a matchmap and three scores from it, and say at which second a frame begins;
# - play a picture in step with its caption, slowly and in loops;
# - turn the matchmap in space, and cut things and their words out of it, without any label;
# - write an MP4 file with sound.
#
# **You need** [the tour](00_tour.ipynb) and a little Python. Headphones or a loudspeaker help.
#
# **It takes** 30 minutes of reading and trying; the cells run in about 15 seconds on two cores.
#
# **How:** run the cells one by one, from top to bottom. Where it says *predict first*, decide before you run the next cell. Section 7 says how to bring your own picture and recording.

# %% tags=["parameters"]
checkpoint = "stamps-demo"  # the model: a folder of checkpoints/
split = "test"  # which scenes: train, validation, test or test-hard
number = 2  # which scene of the split
side = 448  # pixels of the picture's side

# %% [markdown]
# ## 1. Every place times every moment
#
# A scene of Spoken Stamps comes with the truth that the model never saw: where each thing is, and when each word is said.

# %%
from vgs_lib.checkpoints import load_model, read_config
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps

model = load_model(checkpoint)
scenes = Scenes(Stamps.open(), split, size=side)
scene = scenes[number]
[(word.text, f"{word.start:.2f} to {word.end:.2f} s") for word in scene.words]

# %% [markdown]
# The picture becomes an **image map** `[D, H, W]`: for each of H x W places a vector of D numbers, its [embedding](glossary.md#embedding). The caption becomes an **audio map** `[D, T]`: one vector for each of T [frames](glossary.md#frame).
#
# **Predict first.** With the settings above, the picture has 448 x 448 pixels and the caption lasts 3.6 s. How many numbers will the matchmap have: hundreds, ten thousands, or millions?

# %%
import torch

from vgs_lib.images import fit_picture

with torch.inference_mode():
    audio_map = model.embed_waveforms([torch.from_numpy(scene.waveform)])[0][0]
    image_map = model.embed_image(fit_picture(scene.picture, 224)[None])[0]
    matchmap = model.matchmap(image_map, audio_map)
[list(tensor.shape) for tensor in (image_map, audio_map, matchmap)]

# %% [markdown]
# With the settings above, these are 28 x 28 places and 45 frames: about 35,000 numbers. Both encoders have thrown away most of the detail, and what is left is comparable: the D numbers of a place and those of a moment have learned to mean the same.
#
# ### Exercise 1: the matchmap in one line
#
# In symbols: M[h, w, t] is the sum over d of I[d, h, w] A[d, t]. `torch.einsum` takes such a formula nearly as it stands: the letters of each input, an arrow, the letters of the output. A letter that is missing after the arrow is summed over. Here is a small pair to try it on.

# %% tags=["exercise"]
from vgs_lib.exercises.matchmap import check_matchmap

generator = torch.Generator().manual_seed(5)
small_image = torch.randn(8, 2, 3, generator=generator)  # D = 8, H = 2, W = 3
small_audio = torch.randn(8, 4, generator=generator)  # D = 8, T = 4
# SOLUTION
small = torch.einsum("dhw,dt->hwt", small_image, small_audio)
# BLANK
# small = None  # your answer: torch.einsum("...", small_image, small_audio)
# END
check_matchmap(small, small_image, small_audio)

# %% [markdown]
# ### Exercise 2: one number from 35,000
#
# To learn, a model needs a single score for a picture and a caption. There are three ways to sum a matchmap up ([SISA](glossary.md#sisa), [MISA](glossary.md#misa), [SIMA](glossary.md#sima)): the mean of everything; for each frame its best place, then the mean over frames; for each place its best frame, then the mean over places. `I` is the image, `A` the audio, `S` stands for the sum and `M` for the maximum.
#
# `matchmap` has the axes rows, columns, frames. `amax` takes the maximum over the axes in `dim`.

# %% tags=["exercise"]
from vgs_lib.exercises.matchmap import check_scores

# SOLUTION
sisa = matchmap.mean()
misa = matchmap.amax(dim=(0, 1)).mean()
sima = matchmap.amax(dim=2).mean()
# BLANK
# sisa = None  # your answers
# misa = None
# sima = None
# END
check_scores(sisa, misa, sima, matchmap)

# %% [markdown]
# **Predict first.** The same caption is now scored with other pictures. By which of the three will its own picture, the first line, stand out most?

# %%
lengths = torch.tensor([audio_map.shape[1]])
for other in (number, number + 1, number + 3, number + 4):
    with torch.inference_mode():
        maps = model.embed_image(fit_picture(scenes[other].picture, 224)[None])
        scores = [
            f"{kind.upper()} {model.score(maps, audio_map[None], lengths, kind=kind).item():5.2f}"
            for kind in ("sisa", "misa", "sima")
        ]
    print(f"picture {other}:", *scores)

# %% [markdown]
# This model was trained with MISA, and its lead is widest there: every moment of the caption finds a place of its own in the right picture. (Its MISA is a little lower than yours: the model averages cells of 2 x 2 places before it takes the maximum, so that more of a thing lights up than its most telling spot.)
#
# ## 2. When is a frame?
#
# A spectrogram makes one column of numbers every [hop length](glossary.md#hop-length). The speech encoder then pools several columns into one frame. So the length of a frame follows from two numbers. (What a frame hears may lie a little before its time: `model.clock.frame_lag` is half a frame for models of the DAVEnet family and 0 here. Whatever shows times in this notebook reads them off `model.clock`.)

# %%
hop_seconds = model.audio_encoder.front_end.hop_seconds
pooling = model.audio_encoder.pooling
hop_seconds, pooling

# %% [markdown]
# ### Exercise 3: from frames to seconds
#
# At which second does frame 30 of the matchmap begin? Frames are counted from 0.

# %% tags=["exercise"]
from vgs_lib.exercises.matchmap import check_frame_time

# SOLUTION
begins = 30 * hop_seconds * pooling
# BLANK
# begins = None  # your answer, in seconds
# END
check_frame_time(begins, 30, hop_seconds=hop_seconds, pooling=pooling)

# %% [markdown]
# ## 3. Play it
#
# Now the matchmap as a film. The sound is the clock: whatever is heard, the heat of this moment is on the picture.
#
# **Predict first.** With the settings above, the caption names *a wooden toy*. Does the toy light up from the first sound on, or late in the word? And what lights up in the pauses?

# %%
from vgs_lib.prompting import Prompter
from vgs_lib.widgets import MatchmapPlayer, Picture

title = ", ".join(thing.text for thing in scene.objects)
picture = Picture("scene", title, lambda: scene.picture)
heat_range = read_config(checkpoint)["extra"]["heat_range"]
prompter = Prompter(model, heat_range=heat_range)
prompter.add_pictures([picture.id], [scene.picture])
prompt = prompter.prompt(scene.waveform, 16000)

player = MatchmapPlayer()
player.show(picture, prompt, title="the caption", words=scene.words)
player

# %% [markdown]
# - **Space** (with the picture selected) plays and pauses; the **arrow keys** go from frame to frame, **Home** and **End** to the ends. You can also drag along the waveform.
# - **Speed 0.25×** slows the sound down without changing its pitch. Watch the beginning of a word.
# - Click a **word**: each place shows its strongest heat while that word is heard. With **Loop** pressed the word is repeated.
# - With the settings above, pull the **threshold** up to about 9.3 and play again: what is less similar stays dark.
#
# In the pauses little or nothing lights up, and within a name the heat comes late: *a*, with which nearly every name begins, tells no thing from another. The clock is right; the model waits for what matters.
#
# Why do the pauses stay dark, while in [04](04_localization.ipynb) even silence lit up something? Each place's vector has length 1, so a product in the matchmap is the cosine times the length of the frame's vector. This model gives pauses shorter vectors than names: about 16 against 24, on average over the first twelve scenes of `test`. The heat of 04 is a cosine, which takes the length away, and as cosines the best places of a pause are no worse than those of a name.
#
# ## 4. A body in space and time
#
# A still picture can show the whole matchmap as a density in three dimensions. Time runs to the right, the picture stands upright across it.
#
# **Predict first.** With the settings above, three things are named one after the other. What will the places of high similarity look like: three sheets, three tubes along the time, three clouds?

# %%
from vgs_lib.discovery import components
from vgs_lib.figures.matchmap import InteractiveFigure, density_figure, density_sentence

threshold = sum(heat_range) / 2
times = {"clock": model.clock}  # when the frames are heard
found = components(matchmap, threshold, **times)
sentence = density_sentence(found, threshold)
density = density_figure(matchmap, threshold=threshold, words=scene.words, **times)
density.update_layout(title_text=f"Where and when the similarity is {threshold:.1f} or more")
InteractiveFigure(density, sentence)

# %%
sentence  # the same in words

# %% [markdown]
# Drag to turn it. Seen from the front you have the picture, seen from the side the course of time. Each cloud is a thing *and* its word: it ends where the thing ends, and when the word ends.
#
# ## 5. Cut it out: co-segmentation
#
# That can be done by rule. Keep the cells at or above a [threshold](glossary.md#threshold); cells that touch (with a face, an edge or a corner: 26 neighbours) form a [connected component](glossary.md#connected-component); drop those of fewer than 20 cells. Each component has a shadow on the picture, a mask, and one on the sound, a span. Finding both at once is called [co-segmentation](glossary.md#co-segmentation). No label was used: not in training, not here.

# %%
from vgs_lib.discovery import word_of
from vgs_lib.figures.matchmap import components_figure
from vgs_lib.viz import with_alt

names = [getattr(word_of(component, scene.words), "text", "no word") for component in found]
labels = {"names": names, "words": scene.words, "title": "Components"}
figure = components_figure(scene.picture, scene.waveform, found, **labels)
with_alt(figure, "Components on picture and spectrogram. " + sentence, photo=True)

# %% [markdown]
# The names in the legend come from the truth of the data set, only to judge the result. With the settings above, three components are right, and number 4 is a mistake: a part of the frog lights up early in *a huge dump truck*, before the truck does.
#
# ### Exercise 4: which word is it?
#
# Take the component with the greatest mass, `found[0]`. Its `span` is (start, end) in seconds; each word has `text`, `start` and `end`. Which word shares most of its time?

# %% tags=["exercise"]
from vgs_lib.exercises.matchmap import check_word

start, end = found[0].span
# SOLUTION
answer = max(scene.words, key=lambda word: min(end, word.end) - max(start, word.start)).text
# BLANK
# answer = None  # your answer: the text of a word
# END
check_word(answer, found[0], scene.words)

# %% [markdown]
# **Predict first.** What happens to the number of components if the threshold falls to the bottom of the colour range, or rises to its top?

# %%
low, high = heat_range
for share in (0.0, 0.25, 0.5, 0.75, 1.0):
    value = low + share * (high - low)
    parts = components(matchmap, value, **times)
    largest = max(part.volume for part in parts)
    print(f"threshold {value:5.2f}: {len(parts):2} components, the largest of {largest} cells")

# %% [markdown]
# Too low, and noise comes in and things run together; too high, and faint things are lost. Harwath and others took one threshold for all pictures, chosen by eye, and name it as work still to be done. How good is ours? Here are eight other scenes of the first twelve; 0, 4 and 8 are left out, since they have one stamp each and nothing to confuse it with. A thing counts as found if some component lies on it more than on any other thing, and in the time of its name more than in that of any other word.

# %%
# NBVAL_CHECK_OUTPUT
from vgs_lib.discovery import joined

num_found = num_things = 0
for one in (scenes[index] for index in (1, 3, 5, 6, 7, 9, 10, 11)):
    with torch.inference_mode():
        sound = model.embed_waveforms([torch.from_numpy(one.waveform)])[0][0]
        maps = model.embed_image(fit_picture(one.picture, 224)[None])[0]
    parts = components(model.matchmap(maps, sound), threshold, **times)
    masks = {thing.text: thing.mask for thing in one.objects}
    num_found += len(joined(parts, one.words, masks))
    num_things += len(masks)
print(f"Of {num_things} things, at least nine in ten are found:", num_found >= 0.9 * num_things)

# %% [markdown]
# ## 6. Take it with you
#
# The player lives in the notebook; a video can be sent. `export_prompt` writes picture, heat and sound to one MP4 file, and shows in each of its frames the heat of the moment at which it is seen. It goes to a folder for temporary files here; give any path you like.

# %%
import tempfile
from pathlib import Path

from vgs_lib.figures.film import embedded, export_prompt

path = Path(tempfile.mkdtemp()) / "matchmap.mp4"
small_film = {"longest": 200, "frames_per_second": 20, "quality": 30}
film = export_prompt(path, prompt, scene.picture, words=scene.words, **small_film)
print(f"{film.seconds:.1f} s, {film.num_frames} frames, {film.video_encoder} and {film.audio_encoder}")
embedded(film, f"In a picture of {title}, each thing lights up while its name is heard")

# %% [markdown]
# ## 7. Your own picture and voice
#
# Nothing above needs Spoken Stamps. With a picture and a recording of your own it is:
#
# ```python
# import numpy as np
# from PIL import Image
# from vgs_lib.audio import read_audio
#
# pixels = np.asarray(Image.open("my picture.jpg").convert("RGB"))
# waveform, rate = read_audio("my voice.wav")
# prompter.add_pictures(["mine"], [pixels])
# prompt = prompter.prompt(waveform, rate, picture="mine")
# player.show(Picture("mine", "my picture", lambda: pixels), prompt, title="my voice")
# ```
#
# This model knows the stamps of Tux Paint and little else. Your own model, trained on your own data, goes in its place: see [the training notebook](02_train.ipynb).
#
# ## What you saw
#
# - A matchmap is one product: every place of a picture with every frame of a caption. Its size is rows x columns x frames, and a frame lasts hop length x pooling.
# - SISA, MISA and SIMA sum it up in one number; they differ in which side takes its maximum.
# - Played in step with the sound, it shows what lights up and when: a thing lights up while its name is heard, and rather late in it.
# - Cut at a threshold, it falls apart into components, each a thing and its word: a dictionary with pictures that nobody wrote.
# - One threshold for all is the weak point: too low joins things, too high loses them.
#
# ## Further reading
#
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input* (`harwath2019`): matchmaps in section 4.3, co-segmentation and videos in 5.6, clusters of components in 5.4.
# - H. Zhang, *Study of Unsupervised Learning of Visual Objects with Spoken Words based on Siamese Network* (`zhang2020`): the same score, MISA, with other encoders and synthesised captions.
# - M. Okabe and K. Ito, *Color Universal Design: How to make figures and presentations that are friendly to colorblind people*, 2008: the colours of the components.
# - M. Hamilton and others, *Separating the "Chirp" from the "Chat": Self-supervised Visual Grounding of Sound and Language*, 2024: matchmaps with several heads, on film.
