"""Keys: what must be equal for a rewrite of one function to be usable in another build.

In the key: everything the rewrite's text or its tests stand on. Not in the key: who proposed it, when, how fast it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

KEY_SCHEMA = 1
"""Raise when the meaning of any part below changes; old entries are then never found again."""


def function_key(baseline_text: str, *, isa: str, march: Iterable[str], semantics: Iterable[str]) -> str:
    """BLAKE2b-256 (hex) over the parts, each length-prefixed so that no two lists of parts collide.

    baseline_text  `assembly.baseline_key_text`: canonical code, bytes of private constants, attributes
    isa            the allowance in force (`baseline`, `guarded`, `native`) and, for `native`, this CPU's name
    march          CPU features that the unit's own -march permits without a guard
    semantics      options that a rewrite may rely on or must respect (-fno-ipa-ra, -mno-red-zone, -ffast-math ...)
    """
    digest = hashlib.blake2b(digest_size=32)
    for part in (str(KEY_SCHEMA), baseline_text, isa, *sorted(march), "|", *sorted(semantics)):
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
