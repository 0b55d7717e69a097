"""Names for containers that were given none: ``adjective_noun``, as people know them from Docker."""

from __future__ import annotations

import secrets
from collections.abc import Callable


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ADJECTIVES = _words(
    """
    able agile amber ample balmy bold brave breezy bright brisk calm candid civil clear clever copper coral cosy
    crisp dapper daring deep eager earnest easy elegant fair famed fleet fond frank fresh gentle glad golden grand
    hardy hazel honest humble ivory jolly keen kind laughing level light lively loyal lucid lunar mellow merry mild
    misty modest neat nimble noble open patient placid plucky polite prime proud quick quiet rapid ready roving
    sandy serene sharp silver sincere sleek snug sober solid spry steady still stoic stout sunny swift tidal tidy
    trim true upbeat urbane vivid warm wise witty young zesty
    """
)

NOUNS = _words(
    """
    anchor atoll barge basin bay beacon berth boom bosun bow breaker brig buoy cabin canal canoe capstan captain
    cargo channel cleat coast compass coral cove crane current cutter deck delta dinghy dock dory estuary fathom
    ferry fjord flag galley gannet gull halyard harbour haven heron hold hull inlet jetty kayak keel kelp ketch knot
    lagoon landing lantern ledger lighter lock mast mooring oar osprey packet pelican petrel pier pilot pontoon port
    prow quay raft reef rigging river rope rudder sail schooner sextant shoal shore skiff sloop spar stern strait
    tern thwart tide tiller towline trawler tug wake wharf winch yawl
    """
)


def generate(taken: Callable[[str], bool]) -> str:
    """A name that is not ``taken``; numbered when words alone do not suffice."""
    suffix = ""
    while True:
        name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(NOUNS)}{suffix}"
        if not taken(name):
            return name
        suffix = str(secrets.randbelow(10 ** (len(suffix) + 1)))
