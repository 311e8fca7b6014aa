"""Where a design comes from, and who is named for it: pure decisions.

It promises that nobody who was named once is lost, by a fork, a proposal or a new version; what
would lose somebody is refused, with what to put back.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from designs import licences
from designs.design import OWN_WORK, Ancestor, Contributor, Release
from designs.errors import DesignRefused, Finding, Severity
from orchestrator.catalogue import model

WHOLE: Final = 100
"""The share of a licensor who named no contributors: others' shares then read as hundredths."""
_MOST_NAMED: Final = 200  # as many as a release may name


class Credit(BaseModel):
    """Who is named for one release of the line, and what its licence wants to be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release: str
    design: str
    version: str
    title: str
    licence: str
    licensor: str
    contributors: tuple[Contributor, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """One step up the line; `release` is None where that ancestor is not published here."""

    ancestor: Ancestor
    release: Release | None


# ── who is named


def standing(release: Release) -> tuple[Contributor, ...]:
    """The contributors; of a release that names none, its licensor."""
    return release.contributors or _alone(release.licensor, release.title)


def _alone(licensor: str, title: str) -> tuple[Contributor, ...]:
    return (Contributor(name=licensor, did=f"made {title}"[:200], share=WHOLE),)


def percents(contributors: Sequence[Contributor]) -> tuple[tuple[Contributor, float], ...]:
    """Each with the share in percent, to a tenth; together 100, or 0 where nobody has a share.

    What rounding down leaves over goes to the largest remainders, and of equal ones to the first.
    """
    whole = sum(each.share for each in contributors) or 1
    tenths, rests = zip(*(divmod(1000 * each.share, whole) for each in contributors), strict=True)
    over = sum(rests) // whole
    first = sorted(range(len(rests)), key=lambda n: -rests[n])[:over]
    return tuple((each, (tenths[n] + (n in first)) / 10) for n, each in enumerate(contributors))


def joined(
    contributors: Sequence[Contributor], name: str, share: int, did: str | None
) -> tuple[Contributor, ...]:
    """With somebody added; who is named already gets the share on top."""
    found = next((c for c in contributors if same(c.name, name)), None)
    if found is None:
        if len(contributors) >= _MOST_NAMED:
            raise model.refused(
                f"{_MOST_NAMED} contributors are named already", "contributors",
                "publish the change as a fork, which is named as the ancestor of what follows",
            )  # fmt: skip
        return (*contributors, Contributor(name=name, did=did, share=share))
    more = found.model_copy(update={"share": found.share + share, "did": found.did or did})
    return tuple(more if each is found else each for each in contributors)


def same(one: str, other: str) -> bool:
    """Whether two names are one, whatever their spaces, capitals and signs that nobody sees."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name)
    seen = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    return " ".join(seen.split()).casefold()


def credits(  # noqa: A001
    release: Release, chain: Iterable[Link]
) -> tuple[Credit, ...]:
    """The release, then each ancestor up to the root, with the notices that their licences want."""
    own = _credit(named(release), standing(release))
    return (own, *(_credit(link.ancestor, _of_link(link)) for link in chain))


def _of_link(link: Link) -> tuple[Contributor, ...]:
    if link.release is not None:
        return standing(link.release)
    return _alone(link.ancestor.licensor, link.ancestor.title)


def _credit(of: Ancestor, contributors: tuple[Contributor, ...]) -> Credit:
    verdict = licences.judge(of.licence, licences.Act.MAKE_FREE)
    holder = None if of.licensor == model.NOT_NAMED else of.licensor
    work = licences.Work(title=of.title, version=of.version, licensor=of.licensor, holder=holder)
    own = licences.enclosed(verdict, work)
    notices = (*licences.texts(verdict), *own, *verdict.notices)
    return Credit(**of.model_dump(), contributors=contributors, notices=notices)


def named(release: Release) -> Ancestor:
    """How what is forked from a release names it."""
    return Ancestor(
        release=release.sha256,
        design=release.design,
        version=release.version,
        title=release.title,
        licence=release.licence,
        licensor=release.licensor,
    )


# ── what a fork may be licensed as


def fork_licences(licence: str) -> frozenset[str]:
    """What a changed version may carry, "*" for any; raises DesignRefused where there is none."""
    if licence == OWN_WORK:
        return frozenset({OWN_WORK})
    verdict = licences.judge(licence, licences.Act.FORK)
    if not verdict.allowed:
        raise model.refused(
            f"it cannot be forked: {verdict.why}", "licence",
            "make it as it is, or ask its licensor for another licence",
        )  # fmt: skip
    return verdict.fork_as


def fork_licence(licence: str, wanted: str | None) -> str:
    """The licence of a fork of something under `licence`: the wanted one, or the nearest allowed.

    Raises DesignRefused for one that is not allowed, with those that are.
    """
    allowed = fork_licences(licence)
    if wanted is None:
        return _usual(licence, allowed)
    chosen = licences.normal(wanted) or wanted
    parts = frozenset(licences.named(chosen))
    free = licences.ANY in allowed and OWN_WORK not in parts
    if free:
        model.judge_licence(chosen)
    if not (free or parts <= allowed):
        raise model.refused(
            f"a fork of something under {licence} cannot be under {chosen}", "licence",
            f"take {_told(allowed)}",
        )  # fmt: skip
    return chosen


def choices(licence: str) -> tuple[str, ...]:
    """Licences to offer for a fork, the usual one first; none where it may not be forked."""
    try:
        allowed = fork_licences(licence)
    except DesignRefused:
        return ()
    usual = _usual(licence, allowed)
    return (usual, *sorted(allowed - {usual, licences.ANY}))


def _usual(licence: str, allowed: frozenset[str]) -> str:
    if licences.ANY in allowed or set(licences.named(licence)) <= allowed:
        return licence
    return min(allowed)


def _told(allowed: frozenset[str]) -> str:
    if licences.ANY in allowed:
        return "any licence that lets others see it, and not your own work alone"
    if OWN_WORK in allowed:
        return f"{OWN_WORK}, or publish the original under a licence first"
    return " or ".join(sorted(allowed))


# ── nobody is lost


def settled(release: Release, before: Release | None, ancestor: Release | None) -> Release:
    """The release as it may be published: with the ancestry and the names that it was silent about.

    `before` is the newest version of the same design, `ancestor` the release it was forked from,
    if it is here. Raises DesignRefused where it contradicts them.
    """
    stated = release.ancestor or (before.ancestor if before else None)
    findings = [*_line(release, stated, before, ancestor)]
    if stated is not None and not findings:
        fork_licence(stated.licence, release.licence)
    contributors = release.contributors or _inherited(release, stated, before, ancestor)
    if release.contributors:
        findings += _lost(release, before, ancestor)
    model.reject(findings)
    return release.model_copy(update={"ancestor": stated, "contributors": contributors})


def _line(
    release: Release, stated: Ancestor | None, before: Release | None, ancestor: Release | None
) -> Iterable[Finding]:
    """What is wrong with the ancestor it names."""
    if stated is None:
        return
    if stated.design == release.design:
        yield _finding(
            f"{release.design} names itself as what it was forked from", "ancestor",
            "leave the ancestor out: a new version is no fork",
        )  # fmt: skip
    kept = before.ancestor if before else None
    if kept is not None and kept != stated:
        yield _finding(
            f"{release.design} was forked from {_place(kept)}, and this version says otherwise",
            "ancestor", f"put it back: {_words(kept)}",
        )  # fmt: skip
    if ancestor is not None and stated != named(ancestor):
        yield _finding(
            f"what it says of its ancestor is not what {_place(named(ancestor))} says of itself",
            "ancestor", f"put it back: {_words(named(ancestor))}",
        )  # fmt: skip


def _inherited(
    release: Release, stated: Ancestor | None, before: Release | None, ancestor: Release | None
) -> tuple[Contributor, ...]:
    """Who is named where the release itself names nobody."""
    if before is not None:
        moved = not same(before.licensor, release.licensor)
        names = standing(before) if moved else before.contributors
        absent = moved and not any(same(each.name, before.licensor) for each in names)
        if not absent:
            return names
        did = f"licensor of {before.title} {before.version}"[:200]
        return joined(names, before.licensor, 0, did)
    if ancestor is not None:
        return standing(ancestor)
    return _alone(stated.licensor, stated.title) if stated else ()


def _lost(release: Release, before: Release | None, ancestor: Release | None) -> Iterable[Finding]:
    """Everybody whom the release ought to name and does not, or with too small a share."""
    shares = _shares(release.contributors)
    needed: dict[str, tuple[Contributor, int, str]] = {}
    if before is not None:
        for each in before.contributors:
            needed[_bare(each.name)] = (each, min(each.share, 1), before.version)
        licensor = Contributor(name=before.licensor, did=None, share=0)
        if not same(before.licensor, release.licensor):
            needed.setdefault(_bare(before.licensor), (licensor, 0, before.version))
    for each in standing(ancestor) if ancestor is not None else ():
        assert ancestor is not None
        needed[_bare(each.name)] = (each, each.share, _place(named(ancestor)))
    for name, (each, least, where) in needed.items():
        if name not in shares:
            what = f"{each.name} is named in {where} and not here"
        elif shares[name] < least:
            what = f"{each.name} has a share of {each.share} in {where} and {shares[name]} here"
        else:
            continue
        do = f'put back: name = "{each.name}", share = {max(each.share, least)}'
        yield _finding(what, "contributors", do)


def _shares(contributors: Iterable[Contributor]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for each in contributors:
        found[_bare(each.name)] = found.get(_bare(each.name), 0) + each.share
    return found


def _place(ancestor: Ancestor) -> str:
    return f"{ancestor.design} {ancestor.version}"


def _words(ancestor: Ancestor) -> str:
    return ", ".join(f'{key} = "{value}"' for key, value in ancestor.model_dump().items())


def _finding(what: str, where: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)
