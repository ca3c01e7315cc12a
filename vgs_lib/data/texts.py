"""From a stamp's description to the words that name it, and from any text to its words.

The first line of a stamp's text file is mostly a noun phrase ("A blackbird."), sometimes a sentence about the thing
("Tankers carry bulk liquids.") and sometimes a joke ("Say cheese!"). :func:`name_of` keeps the phrase or gives the
reason why there is none.
"""

import re

MAX_WORDS = 6
_QUOTES = str.maketrans({c: None for c in '“”"„«»'} | {"’": "'", "‘": None, "`": "'"})
_CLAUSE_END = re.compile(r"[.!?;:(–—]|\s-\s")
_PREDICATE = re.compile(r"\s(?:is|are|was|were|means|lets|resembles|carry|carries|stands|ahead)\b", re.IGNORECASE)
_TAILS = (
    re.compile(r",\s|\s(?:that|which|who)\s", re.IGNORECASE),
    re.compile(r"\s(?:from|for|used|worn|covered|to)\s", re.IGNORECASE),
)
_OPEN_CLAUSE = re.compile(r"(?:^|[\s,]+)(?:that|which|who)$", re.IGNORECASE)  # its verb was cut as a predicate
_NO_NAME = re.compile(
    r"^(?:eat|say|remember|enter|down|we|with|because|boom|it's|this|an important part|police car emblems)\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:a|an|the|some)\s+", re.IGNORECASE)


def name_of(line: str) -> tuple[str, str]:
    """The name in the first line of a description: ``(text, "")``, or ``("", reason)`` if it has none.

    The text keeps its article ("a blackbird"), since that is how people read it aloud.
    """
    plain = line.translate(_QUOTES).replace("'root'", "root").strip()
    clause = _CLAUSE_END.split(plain, maxsplit=1)[0].strip(" ,'")
    if not clause:
        return "", "the text has no first clause"
    if _NO_NAME.match(clause):
        return "", "the text names nothing"
    clause = _OPEN_CLAUSE.sub("", _PREDICATE.split(clause, maxsplit=1)[0].rstrip(" ,"))
    for tail in _TAILS:
        if len(clause.split()) > MAX_WORDS:
            clause = tail.split(clause, maxsplit=1)[0]
    clause = re.sub(r"\s+", " ", clause.replace(",", "")).strip()
    if len(clause.split()) > MAX_WORDS:
        return "", f"the text is longer than {MAX_WORDS} words"
    if not re.search(r"[^\W\d_]", clause):
        return "", "the text has no letters"
    return clause[0].lower() + clause[1:], ""


def key_of(text: str) -> str:
    """What two texts share when they name the same thing: lower case, no article, no punctuation."""
    return re.sub(r"[^\w]+", " ", _ARTICLE.sub("", text.lower())).strip()


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without marks: "Here is: an owl!" -> here, is, an, owl."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())
