# %% [markdown]
# # What did the model use, and can you believe the map that says so?
#
# A score is one number: this picture fits this spoken word, 9.1. What made it so high? A class activation map paints an answer over the picture: these places raised the score. There are dozens of ways to paint such a map, they disagree, and some of them never look at the word. In this notebook you make the maps, find out which of them to believe, and look into the ear of the model as well.
#
# **You will**
# - write down the number to explain: the similarity to a spoken word, alone or minus that to other words;
# - compute [Grad-CAM](glossary.md#grad-cam) by hand and compare six methods, and the layers of the picture encoder;
# - see which part of a [spectrogram](glossary.md#spectrogram) a word is recognised by, and what the speech encoder reads;
# - measure the [faithfulness](glossary.md#faithfulness) of maps against noise and an edge filter.
#
# **You need** [the matchmap notebook](05_matchmap.ipynb), and a rough idea of what a gradient is: by how much a number changes when another one is nudged.
#
# **It takes** 45 minutes of reading and trying; the cells run in about half a minute on two cores.
#
# **How:** run the cells from top to bottom. Where it says *predict first*, decide before you run the next cell.

# %% tags=["parameters"]
checkpoint = "stamps-demo"  # the model: a folder of checkpoints/
split = "test"  # which scenes: train, validation, test or test-hard
num_pictures = 6  # pictures in the inspector
num_cases = 6  # pictures for the measurement of faithfulness; more make its intervals narrower
seed = 0  # of random maps and shuffled weights

# %% [markdown]
# ## 1. Try it
#
# Choose a picture and a word of its caption, press **Explain**, and look: what is lit raised the score of that word. Then change one thing at a time.
#
# **Predict first.** What should happen to the map if you choose another word? And what if you choose another method for the same word: should it stay the same?
#
# 1. Take the first picture and all its words, with LayerCAM at the layer `encoder.backbone.blocks.4`.
# 2. Take GradCAM, the method with the famous name, at the same layer. Does the light still follow the word?
# 3. Go to ScoreCAM. It runs the network once for each channel: watch the time left, or press **Stop**.
# 4. Under *Layer, sound* take `mel`: now the spectrogram below shows which mel bands count.

# %%
from vgs_lib.checkpoints import load_model
from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets import CamInspector, scene_pictures

stamps, model = Stamps.open(), load_model(checkpoint)
scenes = scene_pictures(stamps, split, 2 * max(num_pictures, num_cases))
pictures = [picture for picture in scenes if len(picture.masks) > 1]
inspector = CamInspector(model, pictures[:num_pictures])
inspector

# %% [markdown]
# Every map has its own colour range, and so the best place of a hopeless match is as yellow as that of a perfect one. Tick **Keep this colour range** to hold the range while you go from word to word.
#
# ## 2. The number to explain
#
# A picture classifier has a score for each class, and a map explains one of them. This model has no classes. Its number is the similarity of an image map `[D, h, w]` to a spoken query: an audio map `[D, T]`, the frames of one word. As in training it is [MISA](glossary.md#misa): every frame takes its best place, and the mean of these is the score.

# %%
from vgs_lib import explain as ex

picture = pictures[0]
pixels, (waveform, rate) = picture.load(), picture.caption.load()
words = {w.text: (w.start, w.end) for w in picture.caption.words if w.text in picture.masks}
queries = {name: ex.heard(model, waveform, span) for name, span in words.items()}
image_map = ex.seen(model, pixels)
{name: list(query.shape) for name, query in queries.items()}, list(image_map.shape)

# %% [markdown]
# ### Exercise 1: write the target
#
# A target is a function of the image map. It must stay differentiable: no `.item()`, no `.detach()`. Take the products of all places with all frames (`query.T @ image_map.flatten(1)` has the shape `[frames, places]`), and reduce them to MISA's number.

# %% tags=["exercise"]
from vgs_lib.exercises.gradcam import check_target

name, other = list(queries)[:2]
query = queries[name]


def my_target(image_map):
    # SOLUTION
    return (query.T @ image_map.flatten(1)).max(dim=1).values.mean()
    # BLANK
    # ...  # your formula, with return
    # END


check_target(my_target, image_map, query)

# %% [markdown]
# The library's `SpokenQuery` does the same, in the way of the model: stamps-demo averages the image map over cells of 2 x 2 places first.
#
# ## 3. Layers, from pixels to meaning
#
# A map shows what a **layer** contributes, on the grid of that layer. Early layers see edges on a fine grid, late ones see things on a coarse one. The backbone of this model is frozen, but gradients flow through it all the same: the maps are made with a copy of the network in which nothing blocks them.

# %%
side, picture_in = ex.PictureSide(model), ex.picture_input(pixels)
print("\n".join(layer.label for layer in ex.layers(side, picture_in)))

# %% [markdown]
# With the settings above, these are 27 layers; the numbers are channels, rows and columns. `encoder.backbone` is EfficientNet, which learned from labelled photographs; `inputs`, `blocks` and `output` were trained on spoken captions; `image_map` is what meets the sound.
#
# ### Exercise 2: Grad-CAM by hand
#
# Grad-CAM asks of each channel: by how much does the score rise, on average over the places, if this channel rises? That is its weight. The map is the weighted sum of the channels' activations, and what is negative is set to zero (ReLU).

# %%
late = "encoder.backbone.blocks.4"
target = ex.SpokenQuery(model, query)
(cam,) = ex.explain(side, picture_in, target, method="GradCAM", layer=late)
activations, gradients = cam.activations, cam.gradients
activations.shape, gradients.shape, round(cam.score, 2)

# %% tags=["exercise"]
from vgs_lib.exercises.gradcam import check_gradcam

# SOLUTION
weights = gradients.mean(axis=(1, 2))
my_map = (weights[:, None, None] * activations).sum(axis=0).clip(min=0)
# BLANK
# my_map = None  # from activations and gradients, both [channels, rows, columns], to a map [rows, columns]
# END
check_gradcam(my_map, activations, gradients)

# %% [markdown]
# ## 4. Six methods, two words
#
# All of them combine activations and gradients; they differ in whether the gradient is averaged over the places (GradCAM, GradCAM++), kept at each place (HiResCAM, LayerCAM), or not used at all (EigenCAM, ScoreCAM).
#
# **Predict first.** Our score takes the *best* place of each frame. So the gradient is zero at nearly every place of the last layer. What does that do to a method that averages the gradient over all places?

# %%
from vgs_lib.figures.explanations import maps_figure
from vgs_lib.viz import with_alt

maps = {}
for method in ex.METHODS:
    both = [
        ex.explain(side, picture_in, ex.SpokenQuery(model, queries[word]), method=method, layer=late)[0]
        for word in (name, other)
    ]
    maps[method] = tuple(one.positive for one in both)
rows = {f"{method}\n{word}": pair[i] for i, word in enumerate((name, other)) for method, pair in maps.items()}
with_alt(
    maps_figure(pixels, rows), f"Six kinds of map for {name} (above) and {other} (below) over one picture", photo=True
)

# %% [markdown]
# With the settings above, LayerCAM and HiResCAM go with the word, GradCAM lights the castle for both words, and GradCAM++ lights the wrong thing each time: averaging threw away where the gradient was. That is no bug of Grad-CAM. It was made for classifiers that average over the places at the end; ours takes a maximum.
#
# ### Exercise 3: one of them never listens
#
# One method gives exactly the same map for every query: it paints what stands out in the activations. Such a map can look right by luck, whenever there is only one thing to see. Which is it?

# %% tags=["exercise"]
from vgs_lib.exercises.gradcam import check_ignores

# SOLUTION
deaf = "EigenCAM"
# BLANK
# deaf = None  # the name of a method, such as "GradCAM"
# END
check_ignores(deaf, maps)

# %% [markdown]
# ## 5. This word, and not that one
#
# "Similar to *this* word" can light up what fits every word. A sharper question: what makes the picture fit this word **better than another one**? Subtract the score of a distractor, and the map has two signs: what speaks for the word, and what speaks against it.
#
# ### Exercise 4: predict the sign
#
# The target is now the score of the first word minus that of the second one. We take the raw map, before the ReLU. Which sign has it where the *second* thing is?

# %% tags=["exercise"]
from vgs_lib.exercises.gradcam import check_sign

against = ex.SpokenQuery(model, queries[name], [queries[other]])
(signed,) = ex.explain(side, picture_in, against, method="HiResCAM", layer="image_map")
# SOLUTION
sign = "negative"
# BLANK
# sign = None  # "positive", "negative" or "zero"
# END
check_sign(sign, signed.raw, picture.masks[other])

# %%
shown = {f"for {name}": signed.positive, f"against it: {other}": (-signed.raw).clip(min=0)}
figure = maps_figure(pixels, shown, same_range=True, unit="share of the score")
with_alt(figure, f"{name} is lit in the left picture, {other} in the right one", photo=True)

# %% [markdown]
# ## 6. When a map adds up, and when it is nothing
#
# HiResCAM of the last layer has a property that no other map here has: its values add up to the score. It is a bill, item by item. And if the score were the plain mean over all places and frames ([SISA](glossary.md#sisa)), this bill would be the mean [matchmap](glossary.md#matchmap), exactly: the matchmap *is* a class activation map, one for each moment.
#
# **Predict first.** One step earlier, at `encoder.output`, the vectors have not been brought to length one yet. Does the bill still add up there?

# %%
# NBVAL_CHECK_OUTPUT
(bill,) = ex.explain(side, picture_in, target, method="HiResCAM", layer="image_map")
(before,) = ex.explain(side, picture_in, target, method="HiResCAM", layer="encoder.output")
mean_target = ex.SpokenQuery(model, query, kind="sisa")
(flat,) = ex.explain(side, picture_in, mean_target, method="HiResCAM", layer="image_map")
matchmap = model.matchmap(image_map, query).mean(dim=-1).numpy()
print("image_map: the values add up to the score:", abs(bill.raw.sum() - bill.score) < 1e-3 * bill.score)
print("image_map, mean similarity: the map is the matchmap:", abs(flat.raw * matchmap.size - matchmap).max() < 1e-3)
print("encoder.output: nothing above rounding error:", before.empty)

# %% [markdown]
# Nothing at all: what follows divides every vector by its length, so making a vector longer changes nothing, and activation times gradient is zero at every place. A program that scales every map to its own maximum would blow the rounding error up to a colourful picture. Here `scaled` stays dark in that case, and `raw` keeps the unit of the method, so that two maps of one method and one layer can be compared.
#
# ## 7. The other side: which sound?
#
# Turned around, the picture is the question: what in the sound made it fit? At the layer `mel` the map has mel bands and time; later layers have time only.
#
# **Predict first.** Which part of the word will count more: its beginning, its end, its vowels, its noise? And will anything outside of the word matter?

# %%
from vgs_lib.figures.explanations import spectrogram_figure

sound_side, mel = ex.SoundSide(model), ex.sound_input(model, waveform)
num_frames = ex.heard(model, waveform).shape[-1]
shown_picture = ex.ShownPicture(model, image_map, frames=ex.frames_in(model, num_frames, words[name]))
heats = {}
for layer in ("mel", "encoder.encoder.layers.2", "audio_map"):
    (found,) = ex.explain(sound_side, mel, shown_picture, method="HiResCAM", layer=layer)
    heats[f"HiResCAM at {layer}: what makes “{name}” fit"] = found.positive
hop = model.audio_encoder.front_end.hop_seconds
figure = spectrogram_figure(mel[0, 0].numpy(), heats, words, hop=hop, clock=model.clock)
with_alt(
    figure, f"Spectrogram of the caption and three maps of what makes {name} fit; the words are marked", photo=True
)

# %% [markdown]
# The last map is the bill again: only frames of the word were asked about, so only they can have a value. One level down, in the Whisper encoder, neighbours begin to count, because attention carries information along the time axis. In the spectrogram the map is speckled: a gradient through many layers is noisy, and single bands are not to be trusted.
#
# ## 8. What the speech encoder reads
#
# Whisper's encoder has [attention](glossary.md#attention): in each layer and head every frame decides how much it reads from each other frame, a matrix `[T, T]`. Averaged over the readers it says how much a frame **is read**; 1 is an even share.
#
# **Predict first.** Will the frames of the words be read most, or the silence between them?

# %%
from vgs_lib.explain.attention import SECONDS_PER_STATE, attention_over_time, cbam_maps, mean_over_spans, received
from vgs_lib.figures.explanations import attention_figure

attention = attention_over_time(model, waveform)  # [layers, heads, T, T]
read = received(attention)
figure = attention_figure(read, words, seconds=SECONDS_PER_STATE)
with_alt(figure, "Attention that each frame receives, by layer and head, with the words marked")

# %% [markdown]
# In the first layer three heads read the words and skip the pauses. Higher up, single frames stand out, often where a word begins or ends, and in the last layer some heads read the silence most: frames without content of their own serve as a place to keep something. How much on average?

# %%
pause = {"the pause between": (words[name][1], words[other][0])}  # seconds
for number, layer in enumerate(read, start=1):
    means = mean_over_spans(layer.mean(axis=0), words | pause, seconds=SECONDS_PER_STATE)
    print(f"layer {number}:", ", ".join(f"{span} {value:.2f}" for span, value in means.items()))

# %% [markdown]
# The pause is read less than the words, but by no means ignored, and it says nothing about either thing. High attention does not mean that a frame is what the word is recognised by; the maps of section 7 ask that question, attention does not.
#
# Some picture encoders have attention too. In tian2020 a [CBAM](glossary.md#cbam) weights the places of a layer. Does ours have one?

# %%
cbam_maps(model, pixels)[1]

# %% [markdown]
# ## 9. Which map is faithful?
#
# A map that looks right to us may still not say what the model used. [ROAD](glossary.md#road) tests it: replace the pixels that the map calls most relevant by noisy averages of their neighbours, and see how much the score falls. Then do the same with the least relevant ones. Half the difference is the figure; a map that knows nothing gets about zero. Two that know nothing compete: random noise, and the Sobel filter, which paints edges and knows neither the model nor the word.
#
# **Predict first.** Rank them: GradCAM, LayerCAM, EigenCAM, the matchmap, edges, noise. Can an edge filter beat a method with a paper of its own?

# %%
from vgs_lib.explain.faithfulness import compare, summarise
from vgs_lib.figures.explanations import faithfulness_figure

cases = []
for one in pictures[:num_cases]:
    word = next(word for word in one.caption.words if word.text in one.masks)
    cases.append((one.load(), ex.heard(model, one.caption.load()[0], (word.start, word.end))))
cams = {f"{method}, blocks.4": (method, late) for method in ("GradCAM", "HiResCAM", "LayerCAM", "EigenCAM")}
cams["HiResCAM, image_map"] = ("HiResCAM", "image_map")
faithful = summarise(compare(model, cases, cams, seed=seed), seed=seed)
figure = faithfulness_figure(faithful, title=f"Faithfulness over {len(cases)} words, with 95 % intervals")
with_alt(figure, "ROAD of each kind of map: " + "; ".join(f"{row.name} {row.mean:.2f}" for row in faithful))

# %% [markdown]
# Look at the intervals before you believe the order: with a few pictures they are wide, and neighbours in the list may change places with another seed. Raise `num_cases` to narrow them. In our run of six words the matchmap and the maps that keep the place lead; EigenCAM, which never heard the word, does no better than noise. Edges do as well as GradCAM: removing edges damages things, whichever is asked for. And the bill of section 6, which adds up to the score exactly, is only in the middle: it lists the winning places alone, and when they are gone the next best ones take over. Adding up and being faithful are two things.
#
# ## 10. Does the map know the weights?
#
# The last test costs one line: shuffle the weights. A model with shuffled weights has learned nothing, and a map that explains what was learned must change.
#
# **Predict first.** For which of GradCAM, LayerCAM, EigenCAM and edges will the map stay the same, if only the very last layer is shuffled? And if all are?

# %%
from vgs_lib.explain.faithfulness import agreement, edge_map, randomised

for part in ("encoder.output", "encoder"):
    other_side = randomised(side, part=part, seed=seed)
    for method in ("GradCAM", "LayerCAM", "EigenCAM"):
        pair = [ex.explain(s, picture_in, target, method=method, layer=late)[0].raw for s in (side, other_side)]
        print(f"{part:>14} shuffled, {method:>8}: the two maps agree to {agreement(*pair):+.2f}")
edges = agreement(edge_map(pixels), edge_map(pixels))
print(f"{'anything':>14} shuffled,    edges: the two maps agree to {edges:+.2f}")

# %% [markdown]
# 1 is the same order of places, 0 is unrelated. EigenCAM cannot notice a shuffled last layer, because it never looks behind its own layer; edges notice nothing at all. Whoever shows you such a map as an explanation shows you the picture.
#
# **Without code:** find a word in the inspector whose map lies on the wrong thing. Does the matchmap of [the tour](00_tour.ipynb) make the same mistake? Then it is the model; if not, it is the method.
#
# **Your own data:** `CamInspector(model, pictures)` takes any list of `Picture` with a `caption` (see [01_data](01_data.ipynb)), and any model that `load_model` returns.
#
# ## What you saw
#
# - A map explains a number. Here it is the similarity to a spoken word, and it can be set against other words.
# - Grad-CAM averages gradients over places, which suits scores that average. For a score that takes the best place, keep the place: LayerCAM, HiResCAM, or the matchmap itself, which is a map of its own kind.
# - A scaled map always looks sure of itself. Ask for the raw one, and whether it is above rounding error.
# - Looking right is not being faithful: measure it, beside noise and edges, with intervals, and shuffle the weights.
# - The sound has such maps too, and attention is not one of them.
#
# ## Further reading
#
# - T. Tian, *Visually grounded fine-grained speech representations learning* (tian2020): Grad-CAM and CBAM in a model of spoken captions.
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019 (harwath2019): matchmaps and the three similarities.
# - R. Selvaraju and others, *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*, 2017; R. Draelos and L. Carin, *Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks*, 2020; P.-T. Jiang and others, *LayerCAM: Exploring Hierarchical Class Activation Maps for Localization*, 2021.
# - Y. Rong and others, *A Consistent and Efficient Evaluation Strategy for Attribution Methods*, 2022 (ROAD); J. Adebayo and others, *Sanity Checks for Saliency Maps*, 2018.
# - S. Woo and others, *CBAM: Convolutional Block Attention Module*, 2018; A. Radford and others, *Robust Speech Recognition via Large-Scale Weak Supervision*, 2022 (Whisper).
