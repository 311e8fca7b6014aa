"""Words as both engines index them: folded, without plural, spelt in [a-z0-9_] only.

Text becomes tokens here and nowhere else, so that no engine's own idea of a word, a language or an
accent can make the two find different designs.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST_WORD: Final = 40
MOST_WORDS: Final = 12
LONGEST_QUESTION: Final = 300
_PREFIX_FROM: Final = 2
_STEMMED_FROM: Final = 4
_WORD: Final = re.compile(r"[^\W_]+")
_OTHER: Final = re.compile(r"[^a-z0-9]")
_UNDECOMPOSED: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ŀ": "l"}
)
_ENGLISH: Final = "a an and are as at by for from in is it of on or that the this to with"
_SPANISH: Final = (
    "al como con de del el en es la las lo los o para por que se sin su un una unas unos y"
)
_COMMON: Final = frozenset((*_ENGLISH.split(), *_SPANISH.split()))
"""English and Spanish words that stand in nearly every description and tell nothing."""


@dataclass(frozen=True)
class Wanted:
    """One word somebody asked for: its token, and what a longer word may begin with."""

    token: str
    prefix: str | None = None


@dataclass(frozen=True)
class Question:
    """`ignored`: common words, as they were written, that nothing is looked up for."""

    words: tuple[Wanted, ...]
    ignored: tuple[str, ...] = ()


def fold(text: str) -> str:
    """Lower case, without accents: `Lámpara` and `lampara` are one, `Straße` is `strasse`."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in apart if unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", bare.casefold()).translate(_UNDECOMPOSED)


def stem(word: str) -> str:
    """The folded word without plural or silent e: hooks, soportes and batteries become one with
    hook, soporte and battery. An s-stemmer (Harman 1991) that serves English and Spanish alike.
    """
    if len(word) < _STEMMED_FROM or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "i"
    return word[:-1] if word.endswith("e") and len(word) >= _STEMMED_FROM else word


def spelt(word: str) -> str:
    """The word in [a-z0-9_]; letter for letter, so that the beginning of one stays a beginning."""
    return _OTHER.sub(lambda other: f"_{ord(other[0]):x}_", word)


def tokens(text: str) -> list[str]:
    """What is indexed of a text, each token once, in order; common words are left out."""
    found = (word for word in _WORD.findall(fold(text)) if word not in _COMMON)
    return list(dict.fromkeys(spelt(stem(word[:LONGEST_WORD])) for word in found))


def question(text: str) -> Question:
    """What to look up for what somebody wrote; the last word may be the beginning of one."""
    said = [word[:LONGEST_WORD] for word in _WORD.findall(fold(text))]
    kept = [word for word in said if word not in _COMMON]
    ignored = tuple(dict.fromkeys(word for word in said if word in _COMMON))
    words = [Wanted(spelt(stem(word))) for word in kept]
    if kept and len(kept[-1]) >= _PREFIX_FROM and said[-1] == kept[-1]:
        words[-1] = Wanted(words[-1].token, spelt(kept[-1]))
    return Question(tuple(dict.fromkeys(words)), ignored)


def tag(kind: str, *values: str) -> str:
    """The token of a field's value; `kind` is one of our own short words.

    A text of any length stays one token of bounded length: who shares 120 letters shares it.
    """
    return "_".join((kind, *(spelt(fold(" ".join(v.split())))[:120] for v in values)))


def tags(kind: str, values: Iterable[str]) -> list[str]:
    return [tag(kind, value) for value in values]
