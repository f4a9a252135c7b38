"""Small changes to defined scenes, to reach branches that fresh scenes miss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from gccllm.harvest.floats import specials
from gccllm.harvest.generate import scalar_kind
from gccllm.harvest.scene import Block, Ref, Scene, Value, integer_of, integer_value
from gccllm.harvest.types import Floating, Integer, Pointer, Signature
from gccllm.harvest.values import Dictionary, edge_values


def perturbed(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random, label: str) -> Scene:
    """A copy with one to four changes."""
    made = scene.copy()
    made.label = label
    made.fill, made.junk = rng.getrandbits(32), rng.getrandbits(32)
    changes, weights = list(_CHANGES), list(_CHANGES.values())
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        for _ in range(4):  # a change may find nothing to act on
            if rng.choices(changes, weights)[0](made, signature, dictionary, rng):
                break
    return made


def _change_int(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    numbers = [i for i, p in enumerate(signature.params) if isinstance(p.type, Integer)]
    if not numbers:
        return False
    which = rng.choice(numbers)
    ctype = signature.params[which].type
    assert isinstance(ctype, Integer)
    if ctype.is_bool or ctype.values:
        number = rng.choice(ctype.values or (0, 1))
    else:
        now = integer_of(scene.args[which], ctype) or 0
        others = [integer_of(scene.args[i], signature.params[i].type) or 0 for i in numbers]
        candidates = [now + 1, now - 1, now * 2, now // 2, -now, now + rng.randrange(-9, 10)]
        candidates += [now ^ 1 << rng.randrange(16), rng.choice(others), rng.randrange(100), _element(scene, rng)]
        candidates.append(rng.choice(edge_values(ctype)))
        candidates += [rng.choice(dictionary.ints) + rng.randrange(-1, 2)] if dictionary.ints else []
        number = min(max(rng.choice(candidates), ctype.lowest), ctype.highest)
    scene.args[which] = integer_value(number, ctype)
    return True


def _change_float(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    numbers = [i for i, p in enumerate(signature.params) if isinstance(p.type, Floating)]
    if not numbers:
        return False
    which = rng.choice(numbers)
    scene.args[which] = Value(rng.choice(specials(signature.params[which].type.size)))
    return True


def _near(block: Block, scene: Scene, rng: Random) -> tuple[int, int, int]:
    """(element size, elements worth changing, one of them): the first ones, up to the nominal size."""
    size = max(block.scalar.size if block.scalar else 1, 1)
    count = max(1, min(len(block.data) // size, max(scene.size, 1) + 2))
    return size, count, rng.choice((0, count - 1, rng.randrange(count), rng.randrange(count)))


def _data_block(scene: Scene, rng: Random) -> Block | None:
    usable = [b for b in scene.blocks if len(b.data) >= max(b.scalar.size if b.scalar else 1, 1)]
    return rng.choice(usable) if usable else None


def _element(scene: Scene, rng: Random) -> int:
    block = _data_block(scene, rng)
    if block is None:
        return 0
    size, _, where = _near(block, scene, rng)
    kind = scalar_kind(block)
    signed = isinstance(kind, Integer) and kind.signed
    return int.from_bytes(block.data[where * size : (where + 1) * size], "little", signed=signed)


def _put(block: Block, at: int, size: int, number: int) -> bool:
    if at < 0 or at + size > len(block.data) or any(at - 7 <= r < at + size for r in block.refs):
        return False
    block.data[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    return True


def _change_element(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    block = _data_block(scene, rng)
    if block is None:
        return False
    size, _, where = _near(block, scene, rng)
    kind = scalar_kind(block)
    if isinstance(kind, Floating) and size in (4, 8):
        if any(where * size - 7 <= r < (where + 1) * size for r in block.refs):
            return False
        block.data[where * size : (where + 1) * size] = rng.choice(specials(size))
        return True
    ctype = kind if isinstance(kind, Integer) else Integer(size if size in (1, 2, 4, 8) else 1, signed=True)
    given = [integer_of(v, p.type) for v, p in zip(scene.args, signature.params, strict=True)]
    ints = [number for number in given if number is not None]
    candidates = [rng.choice(edge_values(ctype)), _element(scene, rng) + rng.randrange(-1, 2)]
    candidates.append(rng.getrandbits(8 * size))
    candidates += [rng.randrange(256), rng.choice(ints) + rng.randrange(-1, 2)] if ints else []
    candidates += [rng.choice(dictionary.ints) + rng.randrange(-1, 2)] * 2 if dictionary.ints else []
    return _put(block, where * size, ctype.size, rng.choice(candidates))


def _swap(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    block = _data_block(scene, rng)
    if block is None or block.refs:
        return False
    size, count, where = _near(block, scene, rng)
    other = rng.randrange(count)
    a, b = slice(where * size, (where + 1) * size), slice(other * size, (other + 1) * size)
    block.data[a], block.data[b] = block.data[b], block.data[a]
    return True


def _copy_run(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    """Copy a run of elements to another place, perhaps in another block: equal runs are rare by chance."""
    source, target = _data_block(scene, rng), _data_block(scene, rng)
    if source is None or target is None or target.refs:
        return False
    size, count, where = _near(source, scene, rng)
    run = min(rng.choice((1, 2, 4, 8, 16, count)), count) * size
    piece = source.data[where * size : where * size + run]
    start = rng.choice((where, rng.randrange(count), 0)) * size
    end = min(start + len(piece), len(target.data))
    target.data[start:end] = piece[: max(0, end - start)]
    return True


def _terminate(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    block = _data_block(scene, rng)
    if block is None:
        return False
    size, _, where = _near(block, scene, rng)
    return size in (1, 2, 4, 8) and _put(block, where * size, size, 0)


def _null(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    holders = [b.refs for b in scene.blocks if b.refs]
    holders += [
        v.refs for v, p in zip(scene.args, signature.params, strict=True) if isinstance(p.type, Pointer) and v.refs
    ]
    if not holders:
        return False
    refs = rng.choice(holders)
    del refs[rng.choice(sorted(refs))]
    return True


def _redirect(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    """Let one pointer in memory point where another one does."""
    holders = [b.refs for b in scene.blocks if len(b.refs) > 1]
    if not holders:
        return False
    refs = rng.choice(holders)
    places = sorted(refs)
    refs[rng.choice(places)] = refs[rng.choice(places)]
    return True


def _shift_pointer(scene: Scene, signature: Signature, dictionary: Dictionary, rng: Random) -> bool:
    numbers = [i for i, p in enumerate(signature.params) if isinstance(p.type, Pointer) and scene.args[i].refs]
    if not numbers:
        return False
    which = rng.choice(numbers)
    ref = scene.args[which].refs[0]
    size = max(scene.blocks[ref.block].align, 1)
    scene.args[which].refs[0] = Ref(ref.block, ref.offset + size * rng.choice((-1, 1, 1, 2, 4, 8, scene.size)))
    return True


Change = Callable[[Scene, Signature, Dictionary, Random], bool]

_CHANGES: Mapping[Change, float] = {
    _change_int: 3.0,
    _change_float: 1.0,
    _change_element: 4.0,
    _swap: 1.0,
    _copy_run: 1.5,
    _terminate: 0.7,
    _null: 0.5,
    _redirect: 0.4,
    _shift_pointer: 0.5,
}
"""How often each is tried, to the others."""
