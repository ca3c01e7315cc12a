# %% [markdown]
# # A loss decides which impostors the model learns from
#
# Every system of this field scores pictures with captions, and nearly every loss says the same thing about the table of scores: the diagonal up, impostors down. They differ in how hard they press on whom. Here you see the push of each loss on a real batch, write four of them, and then ask what the documents asked: which loss, which similarity, what to begin with, and how much data.
#
# **You will** read a loss as a picture of its gradient; write ni2018's three anchors, harwath2019's [semi-hard](glossary.md#semi-hard) candidates, tian2020's masked matching and CMPM; see what gamma does; and compare recorded runs with what the documents found.
#
# **You need** [02_train](02_train.ipynb), section 3, and [07_systems](07_systems.ipynb) for the records and the paired test. **It takes** 50 minutes; the cells run in about half a minute on two cores.
#
# **How:** sections 1 to 4 compute; sections 5 to 8 read records of runs that took hours; a sentence names the command that makes them.

# %% tags=["parameters"]
batch_size = 32  # pairs in the batch whose gradients are shown
checkpoint = "stamps-demo"  # the model that scores it
draws = 60  # over how many draws a loss with random impostors is averaged
gammas = (1, 3, 5, 10, 13, 20, 50, 100)  # smoothing factors of the matching loss
results = ""  # folder of your own that `reproduce --out` wrote; "" takes `results`

# %%
from vgs_lib.checkpoints import load_model
from vgs_lib.commands.bars import Bars
from vgs_lib.data.stamps import Stamps
from vgs_lib.widgets import Collection, scene_pictures

pictures = scene_pictures(Stamps.open(), "validation", batch_size, size=224)
model = load_model(checkpoint)
with Bars() as bars:
    collection = Collection.of(model, pictures, report=bars.show)
scores = collection.scores.T.clone()  # rows pictures, columns captions
print(f"true pairs {scores.diagonal().mean():.2f} on average, all scores from {scores.min():.2f} to {scores.max():.2f}")

# %% [markdown]
# ## 1. A loss is a picture of its gradient
#
# `scores` is a batch as training sees it: one row for each picture, one column for each caption, the true pairs on the diagonal. A loss is one number made of it. What the encoders get from a loss is only the derivative by each score: how strongly it presses each [impostor](glossary.md#impostor) down and each true pair up.
#
# The losses, for pair $g$ with $S_{ij}$ the score of picture $i$ and caption $j$, $m$ the margin, $[x]_+ = \max(0, x)$:
#
# | loss | formula | source |
# |---|---|---|
# | sampled triplet | $[S_{ga} - S_{gg} + m]_+ + [S_{bg} - S_{gg} + m]_+$ with $a$, $b$ drawn | harwath2019, ni2018 |
# | three anchors | the same, and pairs $a$ and $b$ serve as anchors in turn, with $g$ as their impostor | ni2018 |
# | semi-hard | $a$, $b$ the highest scores *below* $S_{gg}$, drawn where there is none | harwath2019 |
# | SHN | sampled + semi-hard | harwath2019 |
# | all-pairs hinge | the sum over every $a \neq g$ and every $b \neq g$ | zhang2020, aytar2017 |
# | InfoNCE | $-\log \mathrm{softmax}_j(S_{gj} / \tau)_g$ and the same over rows, averaged | later work, our default |
# | masked matching | $-\log \mathrm{softmax}_j(\gamma S_{gj})_g$ and the same over rows, added; pairs of $g$'s class left out | tian2020 |
# | CMPM | $\mathrm{KL}(p_g, q_g)$, $p$ the softmax of a row, $q$ its right ones, each with an equal share | tian2020 |
#
# The same in code. Masked matching is made for cosines: `stretch` brings the scores between -1 and 1, where cosines lie. InfoNCE gets the [temperature](glossary.md#temperature) that the model has learnt. In CMPM each picture is a class of its own here. CMPC, DSCMR and TIMAM, which tian2020 compares with, are not drawn: they press on the embeddings through classifiers and a discriminator, not on the scores alone.

# %%
import torch

from vgs_lib import losses
from vgs_lib.embedding_losses import projection_matching

right, temperature = torch.eye(batch_size, dtype=torch.bool), 1 / model.logit_scale.exp().item()
stretch = lambda s: 2 * (s - scores.min()) / (scores.max() - scores.min()) - 1
functions = {name: getattr(losses, name) for name in ("sampled_triplet", "three_anchor_triplet", "semi_hard_triplet")}
functions |= {"shn": losses.shn, "all_pairs_hinge": losses.all_pairs_hinge}
functions[f"info_nce, 1 / {1 / temperature:.0f}"] = lambda s: losses.info_nce(s, temperature=temperature)
functions["masked_matching, 13"] = lambda s: losses.masked_matching(stretch(s), gamma=13)
functions["cmpm"] = lambda s: projection_matching(s, right) + projection_matching(s.T, right)

# %% [markdown]
# **Predict first.** Sort them: which press on one impostor for each pair, which on a few, which on all? Which press on a pair that is told apart well already?

# %%
from vgs_lib.figures.losses import gradient_figure, hardness_figure
from vgs_lib.loss_gradients import score_gradient, shares_by_hardness
from vgs_lib.viz import with_alt

gradients = {name: score_gradient(scores, loss, draws=draws) for name, loss in functions.items()}
alt = "The score matrix, and for each loss which impostors it presses down; some few cells or nearly all"
with_alt(gradient_figure(scores, gradients), alt)

# %% [markdown]
# Each panel shows the share of every impostor in all that the loss presses down, an average over draws where impostors are drawn. Its brightness is relative to the panel's largest.
#
# The same as a curve: sort the impostors of each picture and of each caption by their score and add up the shares, the hardest first. A line that rises at once presses on the hardest alone; along the dotted line all are pressed alike.

# %%
curves = {name: shares_by_hardness(scores, gradient) for name, gradient in gradients.items()}
with_alt(hardness_figure(curves), "Share of the push on the hardest impostors, for each loss")

# %% [markdown]
# Now turn the one knob that each of three losses has: gamma, the inverse temperature, the margin. Where do they press alike?

# %%
knobs = {
    "masked matching, gamma": lambda value: lambda s: losses.masked_matching(stretch(s), gamma=value),
    "InfoNCE, 1 / temperature": lambda value: lambda s: losses.info_nce(s, temperature=1 / value),
    "all-pairs hinge, margin": lambda value: lambda s: losses.all_pairs_hinge(s, margin=value),
}

# %% [markdown]
# Choose a loss and turn its knob, from a tenth to three hundred. It turns by factors, not by steps.

# %%
from IPython.display import display
from ipywidgets import FloatLogSlider, interactive

slider = FloatLogSlider(13, min=-1, max=2.5, step=0.05, description="value", continuous_update=False)


def press(loss, value):
    shown = {f"{loss} {value:.3g}": score_gradient(scores, knobs[loss](value))}
    display(with_alt(gradient_figure(scores, shown), f"The scores, and whom {loss} {value:.3g} presses down"))


interactive(press, loss=list(knobs), value=slider)

# %% [markdown]
# On how many impostors each of the losses above presses, and how much of its push the hardest gets:

# %%
for name, gradient in gradients.items():
    pressed = (gradient[~right] > 0).float().mean()
    print(f"{name:<28} presses on {pressed:6.1%} of the impostors, {curves[name][0]:5.1%} of its push on the hardest")

# %% [markdown]
# Look at the scores' range above before you explain the hinges: a margin of 1 means much where scores lie between 0 and 3, and nothing where they lie between 0 and 300. The same loss is another one at another scale of the scores. InfoNCE learns its scale, and masked matching fixes it with gamma.
#
# ## 2. Three anchors
#
# ni2018 draws an impostor caption, of pair $a$, and an impostor picture, of pair $b$, as everybody did. But then those two pairs are in hand, too. Why not let each be the [anchor](glossary.md#three-anchor) once, with picture and caption of $g$ as its impostors? Three triplets for one draw:
#
# $$t_1 = [S_{ga} - S_{gg} + m]_+ + [S_{bg} - S_{gg} + m]_+ \qquad t_2 = [S_{ag} - S_{aa} + m]_+ + [S_{ga} - S_{aa} + m]_+$$
#
# and $t_3$ is $t_2$ with $b$ for $a$.
#
# **Exercise 1.** Write $t_1 + t_2 + t_3$ for one pair `g`. `scores[i, j]` is picture i with caption j.

# %% tags=["exercise"]
from vgs_lib.exercises.losses import check_three_anchor


def three_anchor(scores, g, a, b, margin):
    # SOLUTION
    t1 = (scores[g, a] - scores[g, g] + margin).relu() + (scores[b, g] - scores[g, g] + margin).relu()
    t2 = (scores[a, g] - scores[a, a] + margin).relu() + (scores[g, a] - scores[a, a] + margin).relu()
    t3 = (scores[b, g] - scores[b, b] + margin).relu() + (scores[g, b] - scores[b, b] + margin).relu()
    return t1 + t2 + t3
    # BLANK
    # ...
    # END


check_three_anchor(three_anchor)

# %% [markdown]
# Does it press on other impostors than the sampled triplet? Compare the two lines above. What it changes is how much is learnt from one draw.
#
# ## 3. Semi-hard: not the hardest, and never 0
#
# The hardest impostor of all is often no impostor: a caption of another picture that happens to fit this one, too. harwath2019 takes the hardest among those that score *lower* than the true pair.
#
# **Predict first.** A common way to write this multiplies the scores by a mask, 1 for candidates and 0 for the rest, and takes the largest. All scores of this row are negative, and the true pair is in column 0. Which column does the mask choose?

# %%
row, true = torch.tensor([-5.0, -7.0, -9.0, -6.0]), 0
masked = row * (row < row[true])
print("candidates times mask:", masked.tolist(), "-> column", int(masked.argmax()))

# %% [markdown]
# Column 0, the true pair itself: it is "pushed away from itself", and the loss is the margin and teaches nothing. A 0 is a good score when all scores are negative, so what is no candidate must have a score that nothing beats: minus infinity. Public code has this mistake; ours has a test for it.
#
# **Exercise 2.** Write the choice for one row: the column of the hardest impostor below the true pair, `None` if there is none (the library then draws one).

# %% tags=["exercise"]
from vgs_lib.exercises.losses import check_semi_hard


def semi_hard(row, right):
    # SOLUTION
    candidates = row < row[right]
    return int(row.masked_fill(~candidates, -torch.inf).argmax()) if candidates.any() else None
    # BLANK
    # ...
    # END


check_semi_hard(semi_hard)

# %%
# NBVAL_CHECK_OUTPUT
batch = torch.tensor([[-5.0, -7.0, -9.0], [-8.0, -4.0, -6.0], [-9.0, -6.0, -5.0]])
print("semi-hard loss of a batch whose scores are all negative:", losses.semi_hard_triplet(batch, margin=2.5).item())

# %% [markdown]
# ## 4. Masked matching, gamma and CMPM
#
# tian2020's pictures come in classes: many photographs of one kind of bird, each with captions of its own. To press such a caption down would be wrong. The *matching loss* is [InfoNCE](glossary.md#infonce) with two changes: pairs of the same class are left out of the softmax, and the scale, the [smoothing factor](glossary.md#smoothing-factor) $\gamma$, is a constant. It adds the two directions, summed over the batch.
#
# **Exercise 3.** Write it. `same` [B, B] is True for pairs of one class, the true pairs on the diagonal among them. Which of them must stay?

# %% tags=["exercise"]
from vgs_lib.exercises.losses import check_masked_matching


def masked_matching(scores, same, gamma):
    # SOLUTION
    hidden = same & ~torch.eye(len(scores), dtype=torch.bool)
    logits = (gamma * scores).masked_fill(hidden, -torch.inf)
    return -logits.log_softmax(1).trace() - logits.log_softmax(0).trace()
    # BLANK
    # ...
    # END


check_masked_matching(masked_matching)

# %% [markdown]
# **Predict first.** tian2020 tries gamma from 1 to 100 and finds 13 best. What happens to the push when gamma is 1, and when it is 100?

# %%
from vgs_lib.figures.losses import gamma_figure

alt = "Share of the push on the hardest impostors rises with gamma"
with_alt(gamma_figure(stretch(scores), gammas), alt)

# %% [markdown]
# With a small gamma all impostors are pressed nearly alike, the harmless ones with the others. With a large one the hardest impostor gets nearly all, and if that one is no impostor after all, a wrong lesson is learnt with full force. [09_fine_grained](09_fine_grained.ipynb) shows what that does to recall.
#
# [CMPM](glossary.md#cmpm) does not leave pairs of one class out: it *asks* for them. Row by row, $p$ is the softmax of the projections of a picture on all captions (of length 1), and $q$ gives each caption of its class an equal share. The loss is $\mathrm{KL}(p, q) = \sum_j p_j \log (p_j / (q_j + 10^{-8}))$, averaged over rows; then the same for captions.
#
# **Exercise 4.** Write one direction.

# %% tags=["exercise"]
from vgs_lib.exercises.losses import check_cmpm


def cmpm(projections, same):
    # SOLUTION
    p, q = projections.softmax(1), same / same.sum(1, keepdim=True)
    return (p * (p.log() - (q + 1e-8).log())).sum(1).mean()
    # BLANK
    # ...
    # END


check_cmpm(cmpm)

# %% [markdown]
# The order of p and q matters. Under $\mathrm{KL}(p, q)$ each impostor that the model takes for a match, $p_j > 0$ where $q_j = 0$, costs $p_j \log(p_j / 10^{-8})$: up to 18 for one. A match that the model misses costs much less. What would $\mathrm{KL}(q, p)$ punish?
#
# ## 5. One system, six losses
#
# From here on the numbers come from records: `python -m vgs_lib reproduce --experiment NAME` trains every run of a comparison under the conditions of [07_systems](07_systems.ipynb). In sections 5 and 6 every run has the same time, in 7 and 8 exactly the same steps. What the document found is said first, on data of its own.

# %%
from IPython.display import Markdown

from vgs_lib import paths
from vgs_lib.benchmark.experiment_records import Recorded
from vgs_lib.figures.leaderboard import recall_figure

folder = paths.results_folder(results)

# %% [markdown]
# For each comparison, `said` tells what the document found, how ours differs, and the command that makes the runs; `claims` puts each claim of the document beside our difference, mean of both directions. The interval is over queries; with three seeds their spread is added, and a claim is judged on the seeds that both systems have (of fewer than three, on the first). A claim is *undecided* where the interval contains 0.

# %% [markdown]
# **Predict first.** From the curves of section 1: which loss will learn most in a few minutes? Will three anchors beat one?

# %%
by_loss = Recorded.read("losses", folder)
Markdown(by_loss.said + "\n\n" + by_loss.table)

# %%
alt = "Recall at 1 of one system under six losses, with intervals"
title, found = "One system, six losses", by_loss.records
with_alt(recall_figure(found, title=title, order=by_loss.names, k=1), alt) if found else "No records yet."

# %% [markdown]
# The document's figures for the two systems of ni2018. Its claim is about R@1; look at R@10 of picture to speech, too.

# %%
from vgs_lib.benchmark.leaderboard import published_table
from vgs_lib.benchmark.paired_tables import comparison, protocol_table

Markdown(published_table(["ni2018-baseline", "ni2018-three-anchor"]))

# %% [markdown]
# Ours by the same protocol (1,024 pairs, both ways) beside the others:

# %%
both = [protocol_table(by_loss.records, way) for way in ("speech_to_image", "image_to_speech")]
Markdown("\n\n".join(both) if by_loss.records else "No records yet.")

# %% [markdown]
# The paired test between the same two losses here, at R@1, for each seed and direction. It is about the queries of one pair of models: where there are several seeds, do they agree?

# %%
Markdown(comparison(by_loss.records, "ni2018-three-anchor-triplet", "ni2018-sampled-triplet", k=1))

# %% [markdown]
# The document's claim with our difference, its interval and the steps of the two:

# %%
Markdown(by_loss.claims)

# %% [markdown]
# ni2018 reports its gain without an interval, on 1,024 queries. How wide would one be for a recall of .09? (The standard error of a share $r$ of $n$ queries is $\sqrt{r(1-r)/n}$; an interval is two of them to either side.) Does the order here agree with the document's, disagree, or allow no answer?
#
# ## 6. Three similarities, with and without mining
#
# harwath2019's Table 1 crosses [SISA](glossary.md#sisa), [MISA](glossary.md#misa) and [SIMA](glossary.md#sima) with the sampled loss, and mines semi-hard impostors with SISA only. All rows but one begin with natural sounds, as the systems *-sounds* do here; the pictures are seen through one network trained on ImageNet by all. To mine with MISA or SIMA needs the whole [matchmap](glossary.md#matchmap) of every picture with every caption of the batch, which the document calls computationally impractical. Here the scores of all pairs keep their maxima and the places of these only, so that it fits.
#
# **Predict first.** The document could not afford to mine over matchmaps. Here every loss gets all scores of the batch. Does mining cost steps? Does it help MISA and SIMA as it helps SISA?

# %%
by_similarity = Recorded.read("similarities", folder)
Markdown(by_similarity.said + "\n\n" + by_similarity.table)

# %% [markdown]
# The same as a figure: read the intervals before the order.

# %%
alt = "Recall at 10 by similarity, by sampled or mined impostors and by the start of the speech side, with intervals"
title, found = "Similarity, mining and start", by_similarity.records
with_alt(recall_figure(found, title=title, order=by_similarity.names), alt) if found else "No records yet."

# %% [markdown]
# The document's figures for these systems, on other pictures and other speech:

# %%
Markdown(by_similarity.published)

# %% [markdown]
# What it claims of two of them at a time, and what we found:

# %%
Markdown(by_similarity.claims)

# %% [markdown]
# Now the paired tests. First the mined against the sampled impostors with one similarity, the document's largest step:

# %%
Markdown(comparison(by_similarity.records, "harwath2019-sisa-shn-sounds", "harwath2019-sisa-sounds"))

# %% [markdown]
# Then two similarities, both with mined impostors, which no document has:

# %%
Markdown(comparison(by_similarity.records, "harwath2019-misa-shn", "harwath2019-sisa-shn"))

# %% [markdown]
# Compare the steps of `harwath2019-misa` and `harwath2019-misa-shn`: did mining cost any? (Look at `-misa` and `-misa-sounds` too: their steps cost the same, so their difference is what timing alone does.) And compare, without *-sounds*, the order of the similarities among sampled impostors with that among mined ones: is it the same?
#
# ### The two terms over the steps
#
# harwath2019's Fig. 5 draws the sampled and the semi-hard term of the same run. There the sampled term decays more quickly than the semi-hard one, and does not disappear within forty epochs.
#
# **Predict first.** At the first step, which of the two is larger? Which will be after some hundred steps, and by how much? (What has to be true of an impostor so that it is chosen?)

# %%
from vgs_lib.benchmark.records import one_of_each, read_records, reads_text
from vgs_lib.figures.leaderboard import terms_figure, with_terms

known = [*by_similarity.records, *by_loss.records, *read_records(folder / "systems")]
with_both = one_of_each(with_terms([one for one in known if not reads_text(one)]))
alt = "The sampled and the semi-hard term of the loss over the steps of each run that has both"
with_alt(terms_figure(with_both[:4]), alt) if with_both else "No record of a run with both terms yet."

# %% [markdown]
# An impostor drawn at random may score above the true pair, and its hinge is then larger than the margin; a semi-hard one scores below it by definition (where there is one; else one is drawn at random), and the hardest of them just below, so that its hinge is near the margin and not above. What is random can be far above at first and fall to nothing; what is mined begins near the margin and falls only when even the hardest impostor falls behind; it may rise again where the task gets harder. Compare that with the curves (each point is the mean of a hundredth of the run), and ask where a hinge of each term stands just before the dotted line, just after it, and at the end: the sum over a batch divided by its pairs and by two. (The dotted line is where training goes from single words to scenes.)
#
# ## 7. What the encoders begin with
#
# **Predict first.** The document's recall rises from random weights to natural sounds to ImageNet and AudioSet. Which step was larger there? Which will be larger here, where about eighty recorded sounds stand in for two million videos, and the run from ImageNet has another picture network, too? (With videos of your own, `Conditions(pretraining=Pretraining(videos="folder"))` takes them instead, and `python -m vgs_lib train harwath2019-sisa-shn-sounds --videos folder` at the document's size.)

# %%
by_start = Recorded.read("pretraining", folder)
Markdown(by_start.said + "\n\n" + by_start.table)

# %% [markdown]
# As a figure:

# %%
alt = "Recall at 10 by what the encoders begin with, with intervals"
title, found = "Initialisation", by_start.records
with_alt(recall_figure(found, title=title, order=by_start.names), alt) if found else "No records yet."

# %% [markdown]
# Two steps, from random weights to natural sounds and from these to ImageNet with sound classes:

# %%
Markdown(by_start.claims)

# %% [markdown]
# A run near chance at 10 may have learnt something still: compare its median rank with 500.5. What says "too few steps for a picture network that learns from nothing" here, and what would say "its beginning is worth nothing"? Which of the two can so few steps tell apart?
#
# The document's figures of one system stand below one another by what it began with:

# %%
Markdown(published_table(["harwath2019-sisa-shn"]))

# %% [markdown]
# ## 8. How much data
#
# Fig. 6 of harwath2019 trains with a part of the data and asks whether the curves level off. Every run here takes the same steps, so a run with fewer scenes sees each of them more often. The axis of recall is logarithmic: lines that crawl along chance could not be told apart otherwise.
#
# **Predict first.** Draw three lines before you run the cell: random weights, natural sounds, ImageNet with sound classes. Where do they meet, if they do?

# %%
by_amount = Recorded.read("data-amount", folder)
Markdown(by_amount.said)

# %% [markdown]
# Compare your three lines with these. Chance is the grey line.

# %%
from vgs_lib.figures.leaderboard import amount_figure

series = {name: name.rsplit("-", 2)[0].replace("-", " ") for name in by_amount.names}
alt = "Recall at 10 against the number of training scenes for three initialisations"
with_alt(amount_figure(by_amount.records, series), alt) if by_amount.records else "No records yet."

# %% [markdown]
# The figures behind the points:

# %%
Markdown(by_amount.table)

# %% [markdown]
# For each amount, the two pre-trainings against random weights:

# %%
Markdown(by_amount.claims)

# %% [markdown]
# **Without code:** the vertical lines span the 95 % intervals of both directions, over queries, and are wider than an interval of the mean. Which claims about the *shape* of a curve (it rises, it levels off, it is steeper than the other) do they allow? What would two more seeds add?
#
# ## What you saw
#
# - A loss is its gradient: the documents' losses differ in how many impostors they press on, and how much on the hardest.
# - What is no candidate must be minus infinity. With 0 the true pair becomes its own impostor as soon as scores are negative.
# - Margin, temperature and gamma say the same thing in three units: what counts as a large difference of scores.
# - Masked matching leaves the pairs of one class out, CMPM asks for them.
# - Whether a loss is better is a question of data, time, size and seeds; the records say what held here, and the intervals how far.
#
# ## Further reading
#
# - Ni, Gu and Zhu, *Optimization of Multimodal Analysis of Image and Audio Pairs* (ni2018): three anchors.
# - D. Harwath and others, *Jointly Discovering Visual Objects and Spoken Words from Raw Sensory Input*, 2019, sections 4.4, 5.1 and 5.2 (harwath2019).
# - T. Tian, *Visually grounded fine-grained speech representations learning* (tian2020), chapters 2 and 4; H. Zhang, *Study of Unsupervised Learning of Visual Objects with Spoken Words based on Siamese Network* (zhang2020).
# - F. Schroff and others, *FaceNet: A Unified Embedding for Face Recognition and Clustering*, 2015: the semi-hard impostors.
# - A. van den Oord and others, *Representation Learning with Contrastive Predictive Coding*, 2018; Y. Zhang and H. Lu, *Deep Cross-Modal Projection Learning for Image-Text Matching*, 2018.
# - K. Musgrave and others, *A Metric Learning Reality Check*, 2020: how little the losses differ when all else is equal.
