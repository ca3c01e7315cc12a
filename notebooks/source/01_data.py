# %% [markdown]
# # You can hear and see everything a model learns from
#
# A model of spoken language and pictures gets no text and no labels, only pictures and sound. Before one is trained, it pays to look at what it will see and to listen to what it will hear: most surprises later come from here. The data are **Spoken Stamps**: drawings and photos of 679 things, their names read aloud by people in eleven languages and by 24 synthetic voices.
#
# **You will**
# - search the data by category, language and speaker, and play any recording;
# - turn every knob of the two classic front ends, and read a word off a [log-mel](glossary.md#log-mel) spectrogram;
# - see which voices are in which [split](glossary.md#split), and why that decides what a figure means;
# - make a [manifest](glossary.md#manifest) of your own pictures and recordings, and spoken captions from written ones.
#
# **You need** [the tour](00_tour.ipynb) to know what all this is for; a little Python for the exercises. **It takes** forty minutes; the cells run in about ten seconds on two cores.
#
# **How:** choose *Run > Run All Cells*, then read from the top. The cell below is the only one with something to set.

# %% tags=["parameters"]
num_scenes = 8  # scenes of each split to look at in section 4
num_bands = 40  # mel bands in the exercises
own_names = ("frog", "owl", "dog", "lion")  # things for the folder of section 5; people say them in English

# %%
from collections import Counter

import torch

from vgs_lib.audio import LogMel
from vgs_lib.data import catalogue, folder, spoken_captions
from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets import CaptionSpeaker, DataExplorer, ManifestMaker, SceneExplorer, scene_pictures

# %% [markdown]
# ## 1. Look around
#
# **Predict first.** Everything here has a name in English. How many of the 679 things are also *read by a person* in English: all, half, or fewer? And in French?
#
# 1. Set *Speaker* to *people, English*, then to *people, French*, and read the count.
# 2. Set everything back with *Show all*, choose a thing, and play it in three languages and by two synthetic voices (blue edge; people have an orange one).
# 3. Type part of a name into *Name*: it searches the names in all languages.

# %%
stamps = Stamps.open()
explorer = DataExplorer(stamps)
explorer

# %% [markdown]
# Only 65 things are read by a person in English, but 650 in French. That is why the English of this data set comes mostly from synthesisers, and why what a model understands of *people* has to be measured on its own.
#
# ## 2. Which voice is where
#
# A [voice](glossary.md#voice) that a model has heard while it learned tells little about how it will do with yours. If one voice were in two splits, the test would be easier than life. This is called [leakage](glossary.md#leakage).
#
# **Predict first.** Four of the voices are called `piper-joe...`. All come from the recordings of one speaker, played slower or faster. May two of them be in different splits?

# %%
things = catalogue.of_stamps(stamps)
for split, voices in catalogue.speakers(things, person=False).items():
    print(f"{split}: {len(voices)} synthetic voices: {', '.join(voices)}")

# %%
# NBVAL_CHECK_OUTPUT
heard = [voice for voices in catalogue.speakers(things, person=False).values() for voice in voices]
people = catalogue.speakers(things, person=True)
print("Voices in more than one split:", len(heard) - len(set(heard)))
print("People in the training split:", "train" in people)

# %% [markdown]
# All four are in `train`: a voice that is only played at another speed is no new speaker. People are in no training split at all; about a third of their recordings is for choosing a model (of the 65 English ones 17, `validation-human-en`), the rest for judging it (`test-human-en`).
#
# One thing is *not* held out: the drawings. Each of the 679 things appears in scenes of every split, at another size, in another place, on another background. So a test figure here says how well known things are found when **unheard voices** name them; it does not say anything about things that were never seen.
#
# ## 3. Three views of one sound
#
# A recording is 16,000 numbers a second. A [front end](glossary.md#front-end) turns them into a [spectrogram](glossary.md#spectrogram), a picture of which tones are strong when. One column is a [frame](glossary.md#frame); the next one lies a [hop](glossary.md#hop-length) later. A **log-mel** spectrogram has narrow bands at low frequencies and wide ones at high frequencies, as the ear does ([mel scale](glossary.md#mel-scale)), in decibels. [MFCC](glossary.md#mfcc) describe the *shape* of each column with a few numbers.
#
# **Predict first.** What happens to the picture if the hop is halved? If the window is four times longer? Which of the two makes short sounds, such as the *k* of *duck*, smear out? Try it; *Defaults* brings everything back. If two settings cannot be together, a sentence says why.

# %%
from ipywidgets import VBox

from vgs_lib.widgets import FrontEndExplorer, Recorder, tour_material

clips = tour_material(stamps, num_scenes=1, num_pictures=1, num_clips=12)[1]
captions = [picture.caption for picture in scene_pictures(stamps, "test", 4) if picture.caption]
front_ends = FrontEndExplorer([*clips, *captions])
VBox([front_ends, Recorder(front_ends.show, heading="The same with your own voice")])

# %% [markdown]
# Half the hop makes twice the frames, but each still sees as much sound as before. A longer window needs a larger `n_fft`; it separates tones better and moments worse. No setting has both.
#
# **Exercise 1.** How many frames does a recording of 1.3 seconds have, at 16,000 samples a second and a hop of 10 ms? Frame *t* is centred on sample *t* × 160, and the first one is frame 0.

# %% tags=["exercise"]
from vgs_lib.exercises.data import check_frames

front_end = LogMel(num_bands=num_bands)
# SOLUTION
frames = int(1.3 * 16000) // 160 + 1
# BLANK
# frames = None  # a number of frames
# END
check_frames(frames, 1.3, front_end)

# %% [markdown]
# The library agrees, whatever the sound is: the last number is that of the frames.

# %%
features, lengths = front_end([torch.randn(20800)])
features.shape  # recordings, bands, frames

# %% [markdown]
# **Exercise 2.** Which mel band holds 1,000 Hz? Bands are counted from 0, the lowest. Take the one whose centre is nearest; `band_centres` gives all centres in Hz. **Predict first:** 1,000 Hz is an eighth of the way up to 8,000 Hz. Is it also an eighth of the way up the bands?

# %% tags=["exercise"]
from vgs_lib.exercises.data import check_band
from vgs_lib.front_ends.mel_scale import band_centres

centres = band_centres(num_bands, fmin=20, fmax=8000)
# SOLUTION
band = int(abs(centres - 1000).argmin())
# BLANK
# band = None  # the number of a band
# END
check_band(band, 1000, front_end)

# %% [markdown]
# A third of all bands lie below 1,000 Hz, where vowels differ most.

# %%
from matplotlib.figure import Figure

from vgs_lib.viz import with_alt

figure = Figure(figsize=(6, 2.6), dpi=80, layout="constrained")
axes = figure.subplots()
axes.plot(centres, "o-", color="#00224e", markersize=3)
axes.set(title="Where the mel bands lie", xlabel="mel band", ylabel="centre (Hz)")
axes.axhline(1000, color="#b5a03c", linewidth=1)
with_alt(figure, "The centres of the mel bands rise slowly up to 1,000 Hz and then faster and faster, to 8,000 Hz")

# %% [markdown]
# ## 4. Scenes: a picture, its caption and the truth about both
#
# Training needs pictures with several things and [captions](glossary.md#caption) that name them. A **scene** puts one to four stamps on a background and joins their names to one caption. Because it is made by a program, everything is known exactly: the [mask](glossary.md#mask) of each thing, and when each word is spoken. Models never see either of them; they are for measuring.
#
# **Predict first.** The names in a caption are in an order of their own. Could a model cheat by always looking from left to right?
#
# Play some captions: the outline of what is named becomes thick. Compare `test` with `test-hard`: more things, some of them never mentioned, noise and echo.

# %%
splits = ("train", "test", "test-hard")
scenes = {split: scene_pictures(stamps, split, num_scenes) for split in splits}
notes = {split: f"Voices: {', '.join(stamps.voices(split.removesuffix('-hard')))}" for split in splits}
SceneExplorer(scenes, notes=notes)

# %% [markdown]
# The order of the words is drawn anew for each caption and has nothing to do with places, so there is no such short cut.
#
# **Exercise 3.** Cut one word out of a spectrogram: from its times in seconds make a `slice` of frames. One frame more or less does not matter.

# %% tags=["exercise"]
from vgs_lib.exercises.data import check_word_frames

caption = scenes["test"][1].caption
word, (waveform, rate) = caption.words[-1], caption.load()
log_mel = front_end([torch.from_numpy(waveform)])[0][0]  # bands, frames
print(f"“{word.text}”: {word.start:.3f} to {word.end:.3f} s; {log_mel.shape[1]} frames in all")
# SOLUTION
span = slice(round(word.start / 0.01), round(word.end / 0.01))
# BLANK
# span = None  # slice(first frame, last frame + 1)
# END
check_word_frames(span, word, front_end)

# %% [markdown]
# **Exercise 4.** A model learns by telling the right caption from [impostors](glossary.md#impostor): the captions of other pictures in the same [batch](glossary.md#batch). But some things share their name: there are six flowers. Two *different* things are drawn at random; what is the chance that they have the same name? `names` has one name for each thing.

# %% tags=["exercise"]
from vgs_lib.exercises.data import check_same_name

names = [concept.key for concept in stamps.concepts]
counts, total = Counter(names), len(names)
print(counts.most_common(4), total)
# SOLUTION
chance = sum(count * (count - 1) for count in counts.values()) / (total * (total - 1))
# BLANK
# chance = None  # a probability, from 0 to 1
# END
check_same_name(chance, names)

# %% [markdown]
# About once in 2,300 pairs. That sounds like nothing; but a batch of 192 pictures with one thing each has 18,336 pairs, so in each step about eight "wrong" captions are in truth right, and the model is punished for knowing it, unless such pairs are left out (`same_image` in `vgs_lib.losses`). With larger batches this grows with the square of their size.
#
# ## 5. Bring your own pictures and recordings
#
# Put pictures and recordings into one folder and let their names say what belongs together: `cat.jpg` is described by `cat.wav`, `cat_1.wav`, `cat_2.wav`. Or write a table, `captions.csv`, with the columns `image,audio,text,speaker,language`. What comes out is a **manifest**, one line of JSON for each recording: the one format in which this library reads data that are not its own.
#
# To try it, here is a small folder with four pictures, each with a recording by a person, and one mistake: a typing error in a file name.

# %%
import tempfile
from pathlib import Path

from PIL import Image

home = tempfile.TemporaryDirectory(prefix="pictures-")
mine = Path(home.name) / "mine"
mine.mkdir()
named = {name: next(c for c in stamps.concepts if c.key == name and "en" in c.people) for name in own_names}
for name, concept in named.items():
    Image.fromarray(stamps.alone(concept.id)[0]).save(mine / f"{name}.png")
    spoken_captions.write_sound(mine / f"{name}.wav", stamps.recording(concept.id))
typo = (mine / f"{name}.wav").rename(mine / f"{name}{name[-1]}.wav")
sorted(path.name for path in mine.iterdir())

# %% [markdown]
# **Predict first.** How many problems will be shown for this one mistake?
#
# Press *Check*. Every problem names the file, what was found, what was expected and what to do. As long as there is one, nothing is written, unless you choose to leave out what it concerns. The folder may also be one of your own, on the machine where Python runs.

# %%
maker = ManifestMaker(mine)
maker

# %% [markdown]
# Two: a recording without a picture, and a picture without a recording. The same in Python, and then without the mistake, in a copy of the folder:

# %%
import shutil

for problem in folder.scan_folder(mine).problems:
    print(problem)
mended = Path(shutil.copytree(mine, mine.with_name("mended")))
(mended / typo.name).rename(mended / f"{name}.wav")
scan = folder.scan_folder(mended)
print(len(scan.entries), "pairs,", len(scan.problems), "problems")

# %% [markdown]
# All recordings of one picture go to the same split, for the reason of section 2: `Parts` divides the *pictures* (or, with `by="speaker"`, the speakers). A picture's own name decides its part, so that one that you add later moves no other. What is written reads back, and the explorer of section 1 shows it.

# %%
from vgs_lib.data.manifest import read_manifest

path = folder.write_folder_manifest(scan, parts=folder.Parts(validation=0, test=0.25))
print(path.read_text())
DataExplorer(read_manifest(path))

# %% [markdown]
# A manifest that somebody gives you is checked by `python -m vgs_lib data check MANIFEST --files`. And the tour works on your own pictures as well: `pictures, clips = manifest_material(read_manifest(path))` and then `Tour(model, pictures=pictures, clips=clips)`, both from `vgs_lib.widgets`.
#
# ## 6. From written captions to spoken ones
#
# If you have pictures and written captions, synthetic voices can read them. Write a caption and press *Speak*. Do all voices get it right? Try a name, a number, a word in another language.

# %%
CaptionSpeaker("a frog next to a yellow umbrella", folder=home.name)

# %% [markdown]
# For many captions at once, `speak_captions` writes the recordings beside the pictures and the table that goes with them; the folder then becomes a manifest as in section 5.

# %%
ready = [choice.name for choice in spoken_captions.choices() if not choice.missing]
told = Path(shutil.copytree(mine, mine.with_name("told"), ignore=shutil.ignore_patterns("*.wav")))
written = {f"{name}.png": f"a picture of {concept.text}" for name, concept in named.items()}
if ready:
    print(spoken_captions.speak_captions(written, told, ready[-2:]).read_text())
    print(len(folder.scan_folder(told).entries), "pairs")
else:
    print("No synthetic voice can speak here.", *{choice.missing for choice in spoken_captions.choices()}, sep="\n")

# %% [markdown]
# ## What you saw
#
# - The data are pictures, recordings and who made them; names and masks are there to measure with, not to learn from.
# - A front end trades time for frequency: the hop says how many frames there are, the window how much each of them sees.
# - Mel bands are narrow where vowels differ and wide above; MFCC keep the shape of a column in a few numbers.
# - A figure means what its split means: here unheard voices name known things, and people are measured on their own.
# - A folder with sensible file names is a data set; a table says more, and mistakes are found before training begins.
#
# ## Further reading
#
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019: section 4.2 has the log-mel front end used here.
# - H. Zhang, *Study of Unsupervised Learning of Visual Objects with Spoken Words based on Siamese Network*, 2020: MFCC, and written captions made into speech.
# - S. Davis and P. Mermelstein, *Comparison of Parametric Representations for Monosyllabic Word Recognition in Continuously Spoken Sentences*, 1980: where MFCC come from.
# - M. Slaney, *Auditory Toolbox*, 1998: the mel scale of these front ends.
#
# Next: a model learns from all this in [02_train](02_train.ipynb).
