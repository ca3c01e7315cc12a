"""The glossary has every term of the field under an anchor that GitHub and JupyterLab both give its heading."""

import re
from pathlib import Path

GLOSSARY = Path(__file__).resolve().parents[2] / "notebooks" / "glossary.md"
TERMS = """
attention attribute-object-pair average-precision baseline batch bootstrap-interval caption cbam chance-level
checkpoint cmpm co-segmentation connected-component cross-attention embedding faiss faithfulness frame front-end
grad-cam gradient-norm heatmap hop-length impostor infonce iod iot iou kendalls-tau leakage learning-rate log-mel
manifest map mask matchmap mcnemar-test median-rank mel-scale mfcc misa pointing re-ranking recall-at-k recipe road
saliency semi-hard sima sisa smoothing-factor spectrogram split temperature three-anchor threshold transcript
triplet-loss utterance voice
"""


def entries() -> dict[str, str]:
    """The text under each heading."""
    _, *parts = re.split(r"^## ", GLOSSARY.read_text("utf-8"), flags=re.M)
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


def test_every_term_is_there_in_alphabetical_order():
    assert list(entries()) == sorted(TERMS.split())


def test_headings_are_their_own_anchors():
    # GitHub lowers capitals and drops signs, JupyterLab does neither: only such headings have one anchor in both.
    assert [term for term in entries() if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", term)] == []


def test_each_entry_is_one_paragraph_of_a_few_sentences():
    for term, text in entries().items():
        assert "\n" not in text and text.endswith("."), term
        assert 1 <= len(re.findall(r"[.:;?](?= |$)", text)) <= 7, term


def test_links_lead_to_other_entries():
    for term, text in entries().items():
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert link.startswith("#") and link[1:] in entries() and link != f"#{term}", f"{term}: {link}"
