# %% [markdown]
# # A model learns words by telling true pairs from impostors
#
# Take a batch of pictures and the spoken names of what is in them. Every picture belongs to one recording; all the other recordings are [impostors](glossary.md#impostor). A model that scores the true pairs above the impostors has learnt words, although nobody ever told it one. Here you train such a model yourself and watch every number while it happens.
#
# **You will** read a training dashboard; start, pause, stop and resume runs; see a model learn in two minutes what takes [stamps-demo](../checkpoints/stamps-demo/README.md) fifty; compare three losses and three similarities on the same data; write the loss yourself; and train a model of your own on a folder of your own pictures and recordings.
#
# **You need** [00_tour](00_tour.ipynb) and [01_data](01_data.ipynb); logarithms for two of the exercises. **It takes** 45 minutes; the cells run in a minute and a half on two cores, and a minute longer when the frozen features are computed for the first time.
#
# **How:** choose *Run > Run All Cells* and scroll to the dashboard: the curves move while you read. Exercises say what is still missing.

# %% tags=["parameters"]
categories = ("animals", "food", "vehicles")  # things to learn; () for all fifteen categories
num_validation = 200  # scenes to measure recall on
steps = 120  # of the first run
steps_compared = 60  # of each run that is compared
batch_size = 64  # pairs in a batch
learning_rate = 0.002  # how far each step goes
runs_folder = "02_train"  # the runs are kept under this name and go on after a restart
own_folder = ""  # section 7: put your own folder of pictures and recordings here; "" makes a small one
own_steps = 40  # of the run on it

# %%
from vgs_lib import paths
from vgs_lib.data.stamps import Stamps
from vgs_lib.figures.curves import curves_figure
from vgs_lib.studies.word_study import WordStudy
from vgs_lib.viz import with_alt
from vgs_lib.widgets import TrainingDashboard

study = WordStudy(Stamps.open(), categories=categories, num_validation=num_validation)
len(study.names), study.names[:6]

# %% [markdown]
# ## 1. The task
#
# To see learning within minutes, the task is made small: one thing in each picture, its name in each recording. 500 pictures are each named by two of twenty training [voices](glossary.md#voice). Both encoders stand on frozen networks (EfficientNet-Lite0 for pictures, Whisper's encoder for speech), whose outputs are computed once and kept: the *banks*. What is trained is small and comes after them.
#
# Progress is measured on validation pictures that are never trained on, named by two voices that are never heard in training. The figure is [recall at 10](glossary.md#recall-at-k): for how many recordings is the right picture among the ten best of all 200?
#
# **Exercise 1.** What recall at 10 does a model reach that guesses? Compute the [chance level](glossary.md#chance-level) from `num_validation`.

# %% tags=["exercise"]
from vgs_lib.exercises.training import check_chance

# SOLUTION
chance = 10 / num_validation
# BLANK
# chance = None  # a share from 0 to 1
# END
check_chance(chance, num_validation)

# %% [markdown]
# ## 2. Train
#
# **Predict first.** How many steps will it take until recall at 10 is five times chance: ten, fifty, or five hundred? Will the loss fall evenly?
#
# The next cell shows the dashboard, the one after it starts a run; both show the same thing, as if you had pressed **Start**. The cell waits until its run is done, and the buttons work meanwhile: **Pause** and **Continue**; **Stop** ends it with a [checkpoint](glossary.md#checkpoint), and **Resume** in the table goes on from there. A run that you begin with **Start** leaves the notebook free; one run trains at a time. Runs are kept: when you run a cell again, a run that is done is shown and not trained anew. Another `runs_folder` above begins with none.

# %%
dashboard = TrainingDashboard(study, paths.runs() / runs_folder)
dashboard

# %%
run = dashboard.train(name="first", steps=steps, batch_size=batch_size, learning_rate=learning_rate)

# %% [markdown]
# What the numbers say:
#
# | number | what it is | what to look for |
# |---|---|---|
# | loss | how badly the true pairs of the training batch stand out from the impostors | falls; a jump up means a step that was too large |
# | R@1, R@10 | share of validation recordings whose picture is the best, among the ten best | compare with chance; when they stand still while the loss falls, the model learns its training pairs by heart |
# | [temperature](glossary.md#temperature) | scores are divided by it before the loss; it is learnt | a sure model lowers it |
# | examples per second | pairs a second, without the evaluations | a larger [batch](glossary.md#batch) costs more a step and brings more impostors |
# | [gradient norm](glossary.md#gradient-norm) | length of the step that the loss asks for, before it is cut to 1 | falls with the loss; spikes warn |
# | [learning rate](glossary.md#learning-rate) | how much of that step is taken | rises for 10 steps, then falls to zero along a cosine |
#
# A chart in the widget is gone when the notebook is closed; this one stays.

# %%
figure = curves_figure([run], title="Recall at 10 of the first run")
with_alt(figure, "Recall at 10 of the first run rises from near chance to many times chance")

# %%
# NBVAL_CHECK_OUTPUT
reached, guessing = run.latest("evaluation")["speech_to_image_r10"], run.chance["speech_to_image_r10"]
print("Recall at 10 is at least five times chance:", reached >= 5 * guessing)

# %% [markdown]
# **Use it yourself.** Start a run with batch size 8, then one with 192, and draw the loss and R@10 of both. Then try a learning rate of 0.1, a batch size of 1, and a batch larger than the data: what is wrong is said in a sentence.
#
# **Restart the kernel in the middle of a run** (*Kernel > Restart Kernel*), run the cells again, and watch the first curve go on where its last checkpoint was made. Everything random in a step is a function of the seed and the number of the step, so the curve is exactly the one it would have been. The history of each run is in its folder, `history.jsonl`, one line for each step.
#
# ## 3. The loss
#
# The scores of a batch are a table: one row for each picture, one column for each recording, the true pairs on the diagonal. [InfoNCE](glossary.md#infonce) reads each row as a multiple-choice question ("which of these recordings belongs to this picture?"), turns the scores into probabilities, and takes the negative logarithm of the right one's; then it does the same for the columns, and averages both.
#
# **Exercise 2.** Before training a model knows nothing: suppose that all scores of a batch are equal. What is the loss?

# %% tags=["exercise"]
import math

from vgs_lib.exercises.training import check_first_loss

# SOLUTION
first_loss = math.log(batch_size)
# BLANK
# first_loss = None  # a number, from batch_size
# END
check_first_loss(first_loss, batch_size)

# %% [markdown]
# The dashboard's first loss is above that. Guessing with confidence is worse than guessing: the untrained scores are not equal, and a small temperature exaggerates their differences.
#
# **Exercise 3.** Write the loss. `scores` is `[B, B]`; `torch.nn.functional.cross_entropy(logits, targets)` answers one multiple-choice question for each row, where `targets` holds the number of the right column.

# %% tags=["exercise"]
import torch
import torch.nn.functional as F

from vgs_lib.exercises.training import check_info_nce


def info_nce(scores, temperature):
    # SOLUTION
    logits, right = scores / temperature, torch.arange(len(scores))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
    # BLANK
    # ...
    # END


check_info_nce(info_nce)

# %% [markdown]
# The model keeps its temperature as `logit_scale`, the natural logarithm of what scores are *multiplied* by: so it can take any value and the scale is always positive.
#
# **Exercise 4.** Which temperature has the trained model?

# %% tags=["exercise"]
from vgs_lib.exercises.training import check_temperature

model = dashboard.controller.load(run.name)
# SOLUTION
temperature = math.exp(-model.logit_scale.item())
# BLANK
# temperature = None  # a number, from model.logit_scale
# END
check_temperature(temperature, model.logit_scale)

# %% [markdown]
# ## 4. Three losses
#
# InfoNCE looks at all impostors at once. The older losses look at hinges: a true pair should score higher than an impostor by a margin of 1. The [triplet loss](glossary.md#triplet-loss) of the SHN recipe (harwath2019) takes one random and one [semi-hard](glossary.md#semi-hard) impostor for each pair, the all-pairs hinge (zhang2020) takes every one of the batch.
#
# **Predict first.** Which of the three learns most within as few steps as this, and why? (How many impostors does each one learn from in a step?)

# %%
short = {"steps": steps_compared, "batch_size": batch_size, "learning_rate": learning_rate}
names = ("info_nce", "shn", "all_pairs_hinge")
losses = [dashboard.train(name=f"misa-{loss}", loss=loss, **short) for loss in names]
figure = curves_figure(losses, title="Three losses, MISA, the same data and seed")
with_alt(figure, "Recall at 10 over steps for InfoNCE, SHN and the all-pairs hinge, with chance")

# %% [markdown]
# Their losses are not comparable, since each counts something else. Their recalls are: that is why validation is drawn and not the loss. Which of them is ahead after the same few steps? InfoNCE and the all-pairs hinge press on every impostor of the batch, SHN on two for each pair, each way. One run each with one seed says little about small differences; run them again with other data before you believe an order, and see in [08_losses](08_losses.ipynb) what longer runs say, as far as they are recorded.
#
# ## 5. Three similarities
#
# A score sums up the [matchmap](glossary.md#matchmap), every place times every moment. [SISA](glossary.md#sisa) takes the mean of all of it; [MISA](glossary.md#misa) the best place of each moment, then the mean over moments; [SIMA](glossary.md#sima) the best moment of each place, then the mean over places.
#
# **Predict first.** The thing covers a part of the picture, its name most of the recording. For which similarity does the background hurt most?

# %%
similarities = [
    dashboard.train(name=f"{kind.lower()}-info_nce", similarity=kind, **short)  # the first one is there already
    for kind in ("MISA", "SISA", "SIMA")
]
figure = curves_figure(similarities, title="Three similarities, InfoNCE, the same data and seed")
with_alt(figure, "Recall at 10 over steps for MISA, SISA and SIMA, with chance")

# %% [markdown]
# In the mean of SISA every place has its say and every place gets a gradient at once, which helps in the first steps; but the background votes too. MISA lets the best place speak alone: only that place learns, but it can be *any* place, which is what scenes with several things need, and what makes the tour's words light up one thing. With a single thing in each picture and few steps, expect small differences. Tick runs in the dashboard's table to compare other figures, and start SISA or SIMA with 14 x 14 places.
#
# ## 6. Ask the new model
#
# The weights of the best evaluation are kept. Ask your model, as in the tour, with a voice that it never heard:

# %%
from vgs_lib.data.scenes import Scenes
from vgs_lib.prompting import Prompter
from vgs_lib.viz import prompt_figure

scene = Scenes(study.stamps, "validation")[0]
prompter = Prompter(dashboard.controller.load(run.name))
prompter.add_pictures(["scene"], [scene.picture])
prompt = prompter.prompt(scene.waveform, 16000)
name = scene.words[0].text if scene.words[0].concept else scene.words[-1].text
with_alt(prompt_figure(prompt, scene.picture, title=f"Heard: {name}"), f"Where the new model finds {name}", photo=True)

# %% [markdown]
# To train in full, with scenes of up to four things, use the command line. It prints its progress, makes checkpoints, and goes on where it was if you stop it with *Ctrl+C* and give the same command again:
#
# ```
# python -m vgs_lib train stamps-demo                # 50 minutes on two cores: the model of the tour
# python -m vgs_lib train stamps-scratch             # about an hour on two idle cores: no pretrained speech encoder
# python -m vgs_lib train stamps-demo --minutes 10   # stop after ten minutes; the same command goes on
# accelerate launch --num_processes 4 -m vgs_lib train stamps-demo   # four GPUs, one batch over all of them
# ```
#
# ## 7. A model of your own
#
# All you need is a folder: pictures, and recordings that describe them. File names say what belongs together, or a table does, `captions.csv` ([01_data](01_data.ipynb), section 5, shows both and names every mistake). Write the folder's path into `own_folder` above and run this section.
#
# What makes a good folder? Ten things that look different, photographed eight times each from different sides and in different places, every photo with a recording of its own: about an hour of work. If a thing is in one picture only, its name is either trained on or judged on, never both, and nothing that is judged on can have been learnt. In the column `text` of the table, write what is said: two photos of a frog are then no [impostors](glossary.md#impostor) of one another. The model never sees the text.
#
# Until you have such a folder, the library makes one with the same layout: ten animals of Spoken Stamps, eight pictures of each, named by the training voices.

# %%
from pathlib import Path

from vgs_lib.data.example_folder import write_example
from vgs_lib.data.folder import scan_folder, write_folder_manifest

animals = ("bear", "bee", "cow", "dog", "duck", "elephant", "fox", "frog", "owl", "zebra")
example = paths.runs() / "example-folder"
mine = Path(own_folder or write_example(study.stamps, example, names=animals, num_pictures=80)).expanduser()
manifest = mine / "manifest.jsonl"
if not manifest.is_file():
    print(*(scan := scan_folder(mine)).problems, sep="\n")  # each with what to do about it
    write_folder_manifest(scan, leave_out=True)
sorted(path.name for path in mine.iterdir())[:6]

# %% [markdown]
# `ManifestStudy` does for any manifest what `WordStudy` does for Spoken Stamps. It holds out a fifth of the *pictures* to judge on, unless the manifest has a split `validation`; all recordings of a picture stay on one side. Where recordings are few, each is heard several times: as it is, then with its speed, pitch, room and noise changed.

# %%
from vgs_lib.studies.manifest_study import ManifestStudy

own_study = ManifestStudy(manifest, takes=2)  # leave takes out: as many as suit the number of recordings
own_study.said

# %% [markdown]
# **Predict first.** With so few pictures to judge on, what is the chance level of recall at 10? Which figure says more here?

# %%
own = TrainingDashboard(own_study, paths.runs() / "own")
own

# %%
own_run = own.train(name=own_study.base.name, steps=own_steps)
figure = curves_figure([own_run], "speech_to_image_r1", title="Recall at 1 on your own data")
with_alt(figure, "Recall at 1 of the model trained on the folder, with chance")

# %% [markdown]
# Chance for recall at 1 is the share of held-out pictures that a recording describes. With few pictures the best weights are chosen by recall at 1, since ten of a handful are soon right by luck; and one picture more or less found moves the curve by a visible step.
#
# Now prompt a picture that was held out with the recording that describes it. For a picture of your own from anywhere, give `read_picture` its path, and `read_audio` that of a recording.

# %%
from vgs_lib.audio import read_audio
from vgs_lib.data.catalogue import read_picture

entry = own_study.division.validation.entries[0]
picture = read_picture(mine / entry.image)
prompter = Prompter(own.controller.load(own_run.name))
prompter.add_pictures([entry.image], [picture])
prompt = prompter.prompt(*read_audio(mine / entry.audio))
heard = entry.text or entry.audio
with_alt(prompt_figure(prompt, picture, title=f"Heard: {heard}"), f"Where your model finds {heard}", photo=True)

# %% [markdown]
# A model is kept as a folder: what it is built of, and its weights. That folder is what you give to somebody else, and what the other notebooks load by its path instead of `stamps-demo`.

# %%
from vgs_lib.checkpoints import load_model, save_model

saved = save_model(prompter.model, own_run.plan, paths.runs() / "my-model", half=True)
again = load_model(saved)
print(sum(path.stat().st_size for path in saved.iterdir()) // 1000, "kB in", saved.name)

# %% [markdown]
# `Tour(again, pictures=pictures, clips=clips)` with `pictures, clips = manifest_material(own_study.manifest)`, all from `vgs_lib.widgets`, is the tour with your model on your pictures. The same from the command line, for folders that take hours:
#
# ```
# python -m vgs_lib train --manifest my-folder/manifest.jsonl --out my-run     # a small model, as here
# python -m vgs_lib train stamps-demo --manifest my-folder/manifest.jsonl --steps 2000 --out my-run   # the tour's
# python -m vgs_lib prompt --checkpoint my-run/model --image photo.jpg --audio caption.wav --out heat.png
# ```
#
# Data in a form of their own need no manifest: write a class with `options`, `base` and `prepare` as `vgs_lib.studies.study` says, and give it to `TrainingDashboard`.
#
# ## What you saw
#
# - Pairs that belong together should score higher than impostors. That is all the supervision there is.
# - A loss says how training goes, recall on held-out voices says what was learnt; both need a level to compare with: the logarithm of the batch size, and chance.
# - Frozen encoders make it quick: what is trained here is small, and most of the hearing was done by an encoder that Whisper's makers trained on transcribed speech. `stamps-scratch` is the honest test of learning from pictures and sound alone.
# - Losses differ in how many impostors they press on, and larger batches bring more. Which learns fastest in few steps is what you measured, with one seed.
# - A folder of your own pictures and recordings is enough for a model of your own, if each thing is in several pictures. What is held out are pictures: recall there says whether known things are found in new pictures, not whether new things or new voices are.
# - A run that resumes exactly is a run you can trust: stop it, restart it, and nothing changes.
#
# ## Further reading
#
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, IJCV 2019: section 4 for SISA, MISA and SIMA, and for sampled and semi-hard impostors (harwath2019).
# - H. Zhang, *Study of Unsupervised Learning of Visual Objects with Spoken Words based on Siamese Network*: the hinge over all pairs (zhang2020).
# - A. van den Oord, Y. Li and O. Vinyals, *Representation Learning with Contrastive Predictive Coding*, 2018: InfoNCE.
# - A. Radford and others, *Learning Transferable Visual Models From Natural Language Supervision*, 2021: a learnt temperature, and very large batches.
# - F. Schroff, D. Kalenichenko and J. Philbin, *FaceNet: A Unified Embedding for Face Recognition and Clustering*, 2015: semi-hard triplets.
