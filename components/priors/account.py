"""An account of what is known of causes: which claims are used, from whom, and what was repaired in them."""

from collections import Counter
from collections.abc import Iterator, Sequence

from components.contracts import Evidence, PriorKnowledge
from components.priors.elicited import CLAIMS

LONGEST = 60
"""Claims and pairs that are listed at most; the tables beside the account hold all."""


def account(knowledge: PriorKnowledge, note: str, remaining: Sequence[str] = ()) -> str:
    """The account as Markdown.

    Args:
        knowledge: What is used.
        note: What is to be said of the language model.
        remaining: Pairs that were not asked.
    """
    return "\n".join(_lines(knowledge, note, remaining))


def _lines(knowledge: PriorKnowledge, note: str, remaining: Sequence[str]) -> Iterator[str]:
    yield from ("### The language model", "", note, "", "### What is used, and from whom", "")
    if knowledge.evidence:
        counts = Counter((claim.source, claim.claim) for claim in knowledge.evidence)
        yield f"| source | {' | '.join(f'{kind}s' for kind in CLAIMS)} |"
        yield f"|---|{'---|' * len(CLAIMS)}"
        for source in sorted({source for source, _ in counts}, key=lambda name: (name != "person", name)):
            yield f"| {source} | {' | '.join(str(counts[source, kind]) for kind in CLAIMS)} |"
    else:
        yield "Nothing is claimed by anyone."
    yield from ("", "### What was repaired", "")
    given_up = len(knowledge.conflicts)
    yield f"{_counted(given_up, 'claim')} given up and now unknown:" if given_up else "No claim had to be given up."
    yield from _listed(knowledge.conflicts)
    if remaining:
        yield from ("", "### What was not asked", "", f"{_counted(len(remaining), 'question')} not asked:")
        yield from _listed(remaining)
    if knowledge.evidence:
        yield from ("", "### Who said what", "")
        stated = [claim for claim in knowledge.evidence if not claim.note.startswith("follows from")]
        yield from _listed([_claimed(claim) for claim in stated])
        yield from ("", f"Following from these: {_counted(len(knowledge.evidence) - len(stated), 'claim')} more.")


def _claimed(claim: Evidence) -> str:
    return f"{claim.claim} {claim.cause} → {claim.effect}: {claim.source}, {claim.probability:.2f} ({claim.note})"


def _counted(size: int, what: str) -> str:
    return f"{size} {what}" if size == 1 else f"{size} {what}s"


def _listed(sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield ""
    for sentence in sentences[:LONGEST]:
        yield f"- {sentence}"
    if len(sentences) > LONGEST:
        yield f"- and {len(sentences) - LONGEST} more"
