# %% [markdown]
# # Which picture was meant? Rank them all
#
# A person describes a picture, and you have hundreds of pictures. A model that has learned to match speech and pictures gives every pair a score; sorting by the score answers the question, and the place of the true picture tells how good the answer is. Turn the question around (here is a picture: which recording describes it?) and you have the two tests by which nearly all systems of this field are compared.
#
# **You will** read a score matrix cell by cell and listen to it, turn it into [recall at k](glossary.md#recall-at-k), [median rank](glossary.md#median-rank) and [mean average precision](glossary.md#map) with their intervals and [chance levels](glossary.md#chance-level), search pictures by voice, find out which word misled the model, and search a thousand pictures through [faiss](glossary.md#faiss) without scoring all of them.
#
# **You need** [the tour](00_tour.ipynb), a little Python, and no mathematics beyond counting. **It takes** forty minutes of reading and trying; the cells run for about a minute on two cores.
#
# **How:** choose *Run > Run All Cells*, then read from the top. The widgets answer while you read.

# %% tags=["parameters"]
split = "test-hard"  # up to six things, noise, rooms, things left unsaid; voices never heard in training
num_scenes = 80  # pictures, each with its spoken caption
num_large = 1000  # pictures of the larger set at the end
num_queries = 30  # captions that search the larger set
seed = 0  # of the intervals and of the search index

# %% [markdown]
# ## 1. A set of pairs
#
# Eighty pictures, each with a [caption](glossary.md#caption) that somebody speaks over noise. The model is the one of the tour. These scenes and these voices are new to it; the drawings themselves it has seen, in other scenes ([01](01_data.ipynb), section 2). Every caption is scored with every picture: 6,400 pairs. (The bars show how many are encoded, how many come in a second, and the time left.) The score is [MISA](glossary.md#misa): for each moment of the sound take the place of the picture that answers it most strongly, then average over the moments.

# %%
from vgs_lib.checkpoints import load_model, read_config
from vgs_lib.commands.bars import Bars
from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets import Collection, scene_pictures

stamps, model = Stamps.open(), load_model("stamps-demo")
heat_range = read_config("stamps-demo")["extra"]["heat_range"]
pictures = scene_pictures(stamps, split, num_scenes, size=224)
with Bars() as bars:
    collection = Collection.of(model, pictures, heat_range=heat_range, report=bars.show)
collection.scores.shape  # captions, pictures

# %% [markdown]
# ## 2. The score matrix
#
# **Predict first.** Rows are captions, columns are pictures, and caption 1 belongs to picture 1, caption 2 to picture 2 and so on. Where will the bright cells lie? Will a whole row or a whole column be brighter than the others, and would that matter for the ranking?
#
# 1. Click a cell: its caption is played in its picture, even if the two do not belong together. Look where the heat goes.
# 2. The arrow keys move the cell, *Enter* plays it. *Home* jumps to the true picture of the row, *End* to the one the model puts first.
# 3. Press **Colour by place in the row**. What looked like a property of a caption disappears.

# %%
from vgs_lib.widgets import ScoreMatrix

matrix = ScoreMatrix(collection.first(40))
matrix

# %% [markdown]
# The diagonal is bright: true pairs score high. Some rows are bright from end to end. A caption with loud, clear frames scores high with every picture, so scores of different rows cannot be compared, and they need not be: a search ranks the pictures for one caption at a time. Only the order inside a row counts.
#
# ## 3. From a matrix to a number
#
# **Recall at k** is the share of captions whose picture is among the first k. Take the matrix `scores`, one row for each caption, where the true picture of row i is column i. How many rows have fewer than five scores higher than the one on the diagonal?

# %% tags=["exercise"]
from vgs_lib.exercises.retrieval import check_recall

scores = collection.scores
# SOLUTION
true = scores.diagonal()[:, None]
recall_at_5 = ((scores > true).sum(dim=1) < 5).double().mean()
# BLANK
# recall_at_5 = None  # a share between 0 and 1
# END
check_recall(recall_at_5, scores, k=5)

# %% [markdown]
# A recall says nothing without what blind guessing would reach. A model that shuffles the pictures puts the true one anywhere with the same probability. What is its recall at 10 among `num_scenes`?

# %% tags=["exercise"]
from vgs_lib.exercises.retrieval import check_chance

# SOLUTION
chance_at_10 = 10 / num_scenes
# BLANK
# chance_at_10 = None  # a share between 0 and 1
# END
check_chance(chance_at_10, num_scenes, k=10)

# %% [markdown]
# **Predict first.** A broken model gives every pair the same score. Somebody counts the pictures with a *higher* score, finds none, and reports a recall of 1. What should be reported?
#
# Ties must not help. If two pictures share a score, put them in random order: on average the right one has half of the others in front of it. Write the place of candidate `right` in one row of scores, 1 being the first, ties counting half.

# %% tags=["exercise"]
from vgs_lib.exercises.retrieval import check_place


def place(row, right):
    # SOLUTION
    higher = (row > row[right]).sum()
    others_tied = (row == row[right]).sum() - 1
    return 1 + higher + others_tied / 2
    # BLANK
    # ...
    # END


check_place(place)

# %% [markdown]
# Now all figures at once, in both directions. The median rank is the place that half of the queries reach. **Mean average precision** is made for queries with several right answers: walk down the ranking, note at each right answer the share of right ones so far, and average. The third block makes use of that: there every picture counts as right that shows *something* that the caption names.
#
# The interval comes from the [bootstrap](glossary.md#bootstrap-interval): draw eighty captions from the eighty with replacement, compute the figure, repeat a thousand times, and keep the middle 95 %.

# %%
from vgs_lib.figures.retrieval import recall_plot
from vgs_lib.retrieval.report import report, table
from vgs_lib.viz import with_alt

reports = {
    "speech to image": report(collection.scores, collection.right, seed=seed),
    "image to speech": report(collection.scores.T, collection.right.T, seed=seed),
    "speech to image, any thing named": report(collection.scores, collection.shares_a_name(), seed=seed),
}
print(table(reports))

# %%
alt = "Recall at 1, 5 and 10 and mean average precision in both directions lie far above chance"
with_alt(recall_plot(reports), alt)

# %%
# NBVAL_CHECK_OUTPUT
figures = {found.name: found for found in reports["speech to image"]}
print(f"Chance of R@10 among {num_scenes}: {figures['R@10'].chance:.3f}")
print("The model reaches at least six times that:", figures["R@10"].low > 6 * figures["R@10"].chance)

# %% [markdown]
# Look at the intervals before you call one model better than another: with eighty queries a recall of 0.90 may as well be 0.83 or 0.96. The third block has a higher R@1 and a *lower* mAP than the first. To find one of several right pictures is easier, to bring all of them to the top is harder.
#
# The **mean reciprocal rank** is common in speech search. Compute it for speech to image; the places of the true pictures are given.

# %% tags=["exercise"]
from vgs_lib.exercises.retrieval import check_reciprocal_rank
from vgs_lib.retrieval import ranks

places = ranks(collection.scores)  # one for each caption, 1 is best
# SOLUTION
reciprocal_rank = (1 / places).mean()
# BLANK
# reciprocal_rank = None  # a number between 0 and 1
# END
check_reciprocal_rank(reciprocal_rank, collection.scores)

# %% [markdown]
# You have met this number before: it is the mAP of the first block of the table. With one right answer, the share of right ones at its place is 1 / rank, and there is nothing else to average. With several right answers, as in the third block, the two differ.
#
# ## 4. Search pictures by voice
#
# Say something, or choose a clip: a caption of the set, or a person who names one thing. The pictures found are listed with their place and score, right ones are marked in green, and those too far down for the list are added at its end. Click a picture to look for your words in it.
#
# **Predict first.** A person says "a frog" and three pictures show a frog among other things. A caption for the same pictures names everything in them. Which query is easier?

# %%
from vgs_lib.widgets import ImageSearch, people_clips

search = ImageSearch(collection, people_clips(stamps, collection))
search

# %% [markdown]
# A long caption is the easier query: each thing named rules out more pictures, and the average over moments collects the evidence. A single name has one chance only, and in this set it competes with everything that looks or sounds alike.
#
# ## 5. Find what was said about a picture
#
# The other direction: choose a picture, and the spoken captions are ranked. Click one to hear it in the picture. Under each you read what **Whisper** hears, an offline [transcript](glossary.md#transcript) that the ranking never sees: the model of this notebook compares sound with picture and knows no letters.
#
# **Predict first.** Where the transcript is garbled, is the ranking garbled too?

# %%
from vgs_lib.widgets import ImageAnnotation

annotation = ImageAnnotation(collection)
annotation.choose_picture(pictures[4].id)
annotation

# %% [markdown]
# Often the transcript loses a word in the noise and the right caption still stands first: the other words are enough, and the model was trained to hear names in noise. It also works the other way around, and then the next section says why.
#
# ## 6. The worst mistakes
#
# MISA is an average over moments, so the difference between two pictures can be handed back to the words, exactly: how much did the moments of *this* word speak for the wrong picture? The votes add up to the difference of the two scores.

# %%
from IPython.display import display

from vgs_lib.figures.retrieval import mistake_plot
from vgs_lib.retrieval import worst

for mistake in worst(collection.scores, 2, collection.right):
    said = collection.captions[mistake.query].title
    alt = f"Words of the caption {said} and how much each spoke for the wrong picture"
    display(with_alt(mistake_plot(collection, mistake), alt, photo=True))

# %% [markdown]
# Gold bars are the words that misled, blue ones those that spoke for the truth. Look for these reasons: a word drowned in noise or cut by reverberation; a carrier phrase such as *next to*, which names nothing but has moments that count as much as any; a thing that is tiny in the true picture; and a picture full of objects, where some place fits almost any sound. The maximum over places is generous to crowded pictures.
#
# To hear a mistake, find it in the explorer of section 4, or look at it in the matrix: `ScoreMatrix` takes any collection, so it can be used on recordings of your own.
#
# ## 7. When the set is large
#
# Scoring every picture is fine for a few hundred and hopeless for ten million. Libraries such as faiss find the nearest of a million vectors in a millisecond, but they know one thing only: the inner product of two vectors. MISA is none: the place that answers is another one for each moment and picture. So search in two steps: an index proposes a short list, and only those pictures are scored exactly. There are two ways to propose:
#
# - **one vector a picture**: average all places, average all moments, one product. This is [SISA](glossary.md#sisa), and small things vanish in the average;
# - **a vector for every place**: each moment asks for the places nearest to it, and pictures collect what their places bring. That is what MISA's maximum looks for, at the price of 196 vectors a picture.
#
# The larger set is small beside the web, so that it fits a small machine: a thousand pictures. The first are those of our set; the others are scenes of the training split, of one to four things, and no query belongs to any of them. With 196 places each that makes 196,000 vectors, every one of them the real encoding of a place, and that is enough to see what an index gains and loses. The maps are kept in 16 bits a number, half of what the model computes with.

# %%
import torch

from vgs_lib.data.scenes import Scenes
from vgs_lib.memory import peak_bytes
from vgs_lib.search.nearest import PictureSearch, embed_places

annotation.wait()  # the transcripts of section 5 need memory of their own
others = Scenes(stamps, "train", size=224)
picture_at = lambda i: pictures[i].load() if i < num_scenes else others[i - num_scenes].picture
with Bars() as bars:
    show = lambda done, total: bars.show("pictures", done, total)
    maps = embed_places(model, picture_at, num_large, dtype=torch.float16, report=show)
stamps.picture.cache_clear()  # the drawings are needed no more
print(f"Maps {list(maps.shape)} in 16 bits: {maps.nbytes / 1e6:.0f} MB")

# %% [markdown]
# Now the two indexes. The first is exact: it compares a query with all of its few vectors. The second one is approximate. **IVF** sorts the vectors into a few hundred lists by k-means and looks only into the lists nearest to a query; the number of lists it opens (the *effort* below) buys recall with time. It also keeps each number in 8 bits: enough to propose, since the exact score decides. (The other common kind, HNSW, links each vector to some neighbours and walks along the links: `kind="hnsw"`.)

# %%
pooled = PictureSearch(maps, cell=14)  # 14 x 14 places to one vector
by_place = PictureSearch(maps, cell=1, kind="ivf", bits=8, seed=seed)
for name, index in (("one vector a picture", pooled.index), ("every place, IVF", by_place.index)):
    size, built = f"{index.num_bytes / 1e6:.1f} MB", f"built in {index.build_seconds:.1f} s"
    print(f"{name:<22}{len(index):>8,} vectors of {index.dim} numbers, {size:>8}, {built}")
print(f"Most memory that this notebook has been resident in so far: {peak_bytes() / 1e6:.0f} MB")

# %% [markdown]
# **Predict first.** A hundred of the thousand pictures may go on the short list. How many of the ten that the exact search finds will be on it, with one vector a picture and with 196?

# %%
from vgs_lib.figures.retrieval import search_plot, search_table
from vgs_lib.search.nearest import measure, quality

queries = collection.audio_maps[:num_queries]
exact = [pooled.exact(one) for one in queries]
lists = {size: [pooled.search(one, shortlist=size) for one in queries] for size in (50, 100, 200)}
curves = {
    "score all": [("", quality(exact, exact, range(num_queries)))],
    "one vector a picture": [(f"list of {n}", quality(found, exact, range(num_queries))) for n, found in lists.items()],
    "every place, IVF": measure(by_place, queries, exact, efforts=(1, 4, 16), shortlist=100, neighbours=256),
}

# %%
print(search_table(curves))
alt = "Searching every place finds more than one vector a picture, at a fraction of the exact time"
with_alt(search_plot(curves), alt)

# %% [markdown]
# The left plot asks an index to agree with the exact search, the right one asks for what you want: the true picture. One vector a picture fails at both, since the model was never trained to match averages. With a vector for every place and enough lists opened, nearly every picture that the exact search finds is on the short list, in a fraction of the time of scoring everything. Opening few lists is faster still and loses some: each moment then misses places that lie just across the border of a list. The places nine and ten of an exact ranking are pictures of no interest, and losing them costs nothing.
#
# **Without code:** what would have to change for one vector a picture to work? (Look at the score a model is trained with.) How many gigabytes would the places of ten million pictures take?
#
# ## What you saw
#
# - A score matrix holds everything: recall, median rank and average precision are ways to read its rows, or its columns for the other direction.
# - A figure needs its chance level, its interval, and an honest rule for ties; equal scores must come out at chance.
# - Scores of different captions are not comparable, the order within a row is.
# - MISA's score can be handed back to the words, exactly, and then shows which of them misled the search.
# - An index proposes and the exact score decides. What is indexed must resemble the score: places work, averages do not.
#
# ## Further reading
#
# - Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019: the similarities SISA, MISA and SIMA, and retrieval among 1,000 pairs.
# - Tian, *Visually Grounded Fine-Grained Speech Representations Learning*, 2020: several captions a picture, six systems compared by recall.
# - M. Douze and others, *The Faiss Library*, 2024; Y. Malkov and D. Yashunin, *Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World Graphs*, 2018.
# - O. Khattab and M. Zaharia, *ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction over BERT*, 2020: a maximum for each word, an average, and an index of all parts, for text.
# - F. McSherry and M. Najork, *Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores*, 2008.
# - B. Efron and R. Tibshirani, *An Introduction to the Bootstrap*, 1993.
