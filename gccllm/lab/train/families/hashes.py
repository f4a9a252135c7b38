"""Checks and hashes by a recurrence: cyclic redundancy checks by bits, h * b + c, sums of sums under a modulus.

A bit of a cyclic redundancy check waits for the bit before it, 24 cycles a byte. Tables take four bytes a step;
carry-less products take 64. h * b + c is a sum of products with powers of b, eight or sixteen of them at a time. Sums
modulo 65521 or 255 need one remainder in two thousand elements.

Not covered: hashes that mix by exclusive or and multiplication (FNV, Jenkins, murmur: no gain without changing them),
checks of 64 bits, and checks whose bytes come from a file.
"""

from __future__ import annotations

import random

from gccllm.lab.train.shapes import COUNTS, I8, I32, U8, U16, U32, Elem, Pair, Signature, Walk, const_word, make


def draw(rng: random.Random) -> Pair:
    return rng.choice([_check, _check, _check, _hash, _hash, _hash, _sums])(rng)


def draw_held(rng: random.Random) -> Pair:
    return rng.choice([_held_two_checks, _held_both_hashes, _held_check_matches])(rng)


_RIGHT = {32: (0xEDB88320, 0xEDB88320, 0x82F63B78, 0xEB31D82E), 16: (0xA001, 0xA001, 0x8408), 8: (0x8C, 0xE0, 0xB2)}
_LEFT = {
    32: (0x04C11DB7, 0x04C11DB7, 0x1EDC6F41, 0x741B8CD7),
    16: (0x1021, 0x1021, 0x8005, 0x8BB7),
    8: (7, 7, 0x31, 0x1D),
}


def _polynomial(rng: random.Random, bits: int, right: bool) -> int:
    known = (_RIGHT if right else _LEFT)[bits]
    if rng.random() < 0.7:
        return rng.choice(known)
    top = 1 << (bits - 1)
    return rng.randrange(top) | (top if right else 1)


def _number(value: int, bits: int) -> str:
    """As gcc's assembly has it: 32 bits are signed there."""
    return str(value - (1 << bits) if bits == 32 and value >> 31 else value)


def _bits_loop(rng: random.Random, t: str, bits: int, right: bool, polynomial: int, c: str = "c") -> str:
    """Eight steps of one bit in the variable `c` of type t."""
    p = f"{polynomial:#x}{'u' if bits == 32 else ''}"
    top = f"{1 << (bits - 1):#x}{'u' if bits == 32 else ''}"
    if right:
        test, shifted, shift = rng.choice([f"{c} & 1", f"({c} & 1) != 0"]), f"({c} >> 1)", f"{c} >>= 1;"
        mask = f"{c} = {shifted} ^ ({p} & -({c} & 1));"
    else:
        test, shifted, shift = rng.choice([f"{c} & {top}", f"({c} & {top}) != 0"]), f"({c} << 1)", f"{c} <<= 1;"
        mask = f"{c} = {shifted} ^ ({p} & -({c} >> {bits - 1}));"
    step = rng.choice([
        f"if ({test}) {c} = {shifted} ^ {p}; else {shift}", f"{c} = ({test}) ? {shifted} ^ {p} : {shifted};",
        f"{t} b = ({test}) ? {p} : 0; {c} = {shifted} ^ b;", mask,
        f"if ({test}) {{ {shift} {c} ^= {p}; }} else {shift}",
    ])  # fmt: skip
    return rng.choice(
        ["for (int k = 0; k < 8; k++)", "for (int k = 8; k > 0; k--)", "for (unsigned k = 0; k < 8; ++k)"]
    ) + (f" {{ {step} }}")


def _bytes(rng: random.Random, sig: Signature) -> tuple[str, str, str, str]:
    """A run of bytes, counted or with an end pointer or a terminator: loop with %s for a step over the byte `x`;
    key; then the answer's first statement and count, with {a}, {n} and {e} for letters."""
    string = rng.random() < 0.15
    if string:
        sig.add("a", f"{const_word(rng)}char *a", "z")
        loop = rng.choice(["while (*a) { uint8_t x = *a++; %s }", "for (; *a; a++) { uint8_t x = *a; %s }"])
        return loop, "string", "u64 k = FINDZ({a}, x == 0); ", "k"
    walk = Walk.draw(rng)
    walk.declare(sig, U8, rng)
    return walk.loop(U8, "%s"), walk.count, "", "{e} - {a}" if walk.count == "end" else "{n}"


def _filled(sig: Signature, text: str) -> str:
    for name in ("a", "n", "e", "s"):
        if any(p.name == name for p in sig.params):
            text = text.replace("{" + name + "}", sig.at(name))
    return text


def _check(rng: random.Random) -> Pair:
    bits = rng.choice([32, 32, 32, 16, 16, 8])
    right = rng.random() < 0.6
    polynomial = _polynomial(rng, bits, right)
    t, word = f"uint{bits}_t", f"u{bits}"
    full = (1 << bits) - 1
    start = rng.choice([0, full, full, rng.choice([0x1D0F, 0xFFFF, 0xB2AA, 1]) & full])
    flip = rng.random() < (0.7 if bits == 32 else 0.25)
    sig = Signature()
    loop, form, head, n = _bytes(rng, sig)
    given = rng.random() < 0.3
    inverted = given and flip
    if given:
        sig.add("s", f"{t} s", f"x:{bits}:0" if bits == 32 else f"c:{bits}:0")
    sig.shuffle(rng)
    into = "c ^= x;" if right or bits == 8 else f"c ^= ({t})x << {bits - 8};"
    body = f"{into} {_bits_loop(rng, t, bits, right, polynomial)}"
    begin = ("~s" if inverted else "s") if given else (f"{start:#x}" + "u" * (bits == 32))
    end = rng.choice(["~c", f"c ^ {full:#x}{'u' * (bits == 32)}"]) if flip else "c"
    c = f"{t} c = {begin}; {loop % body} return {end};"
    macro = "CRCR" if right else {32: "CRC", 16: "CRC16", 8: "CRC8"}[bits]
    own_start = ("~{s}" if inverted else "{s}") if given else _number(start, bits)
    if inverted and bits < 32:
        own_start = f"({word})~" + "{s}"
    own = f"{head}return {'~' * flip}{macro}({own_start}, {n}, " + "{a}, " + f"{_number(polynomial, bits)});"
    key = f"check-{'right' if right else 'left'}{bits}/{form}/{'given' if given else start == 0}/{flip}"
    return make("hashes", key, sig, t, c, _filled(sig, own))


def _hash_step(rng: random.Random, h: str, base: int, x: str) -> str:
    """h * base + x in one of its spellings."""
    shifts = {33: [f"{h} = (({h} << 5) + {h}) + {x};"], 31: [f"{h} = ({h} << 5) - {h} + {x};"],
              65599: [f"{h} = {x} + ({h} << 6) + ({h} << 16) - {h};"],
              257: [f"{h} = ({h} << 8) + {h} + {x};"]}  # fmt: skip
    forms = [f"{h} = {h} * {base} + {x};", f"{h} = {base} * {h} + {x};", f"{h} *= {base}; {h} += {x};"]
    return rng.choice(forms + shifts.get(base, []) * 3)


def _base(rng: random.Random) -> int:
    return rng.choice([33, 33, 33, 31, 31, 31, 37, 65599, 131, 257, 131071, 1000003, 5, 101, 53, 16777619,
                       rng.randint(3, 300), rng.randint(300, 99999)])  # fmt: skip


def _hash(rng: random.Random) -> Pair:
    string = rng.random() < 0.45
    elem: Elem = rng.choice([I8, I8, U8]) if string else rng.choice([U8, U8, I8, U16, I32, I32, U32])
    c_type, word = rng.choice([("unsigned", "u32"), ("uint32_t", "u32"), ("uint32_t", "u32"), ("unsigned long", "u64"),
                               ("uint64_t", "u64")])  # fmt: skip
    base = _base(rng)
    start = rng.choice([0, 0, 5381, 5381, 1, 7, 17, 0, rng.randint(2, 99999)])
    sig = Signature()
    given = rng.random() < 0.12
    if string:
        c_elem = rng.choice(["char", "char", "signed char"]) if elem.signed else "unsigned char"
        sig.add("a", f"{const_word(rng)}{c_elem} *a", "z")
        form = "string"
        step = _hash_step(rng, "h", base, "{x}")
        loop = rng.choice([
            "int c; while ((c = *a++)) {{ " + step.format(x="c") + " }}",
            "while (*a) {{ " + step.format(x="*a") + " a++; }}",
            "for (; *a; a++) {{ " + step.format(x="*a") + " }}",
            "for (int i = 0; a[i]; i++) {{ " + step.format(x="a[i]") + " }}",
            "for (long i = 0; a[i] != 0; i++) {{ " + step.format(x="a[i]") + " }}",
        ])  # fmt: skip
        loop = loop.replace("{{", "{").replace("}}", "}")
        head, n = "u64 k = FINDZ({a}, x == 0); ", "k"
    else:
        walk = Walk.draw(rng)
        walk.declare(sig, elem, rng)
        form = walk.count
        loop = walk.loop(elem, _hash_step(rng, "h", base, "x"))
        head, n = "", "{e} - {a}" if walk.count == "end" else "{n}"
    if given:
        sig.add("s", f"{c_type} s", f"x:{word[1:]}:0")
    sig.shuffle(rng)
    post, own_post = "", ""
    if rng.random() < 0.2:
        k = rng.choice([8, 12, 13, 15, 16, 17, 27])
        post, own_post = rng.choice(
            [(f"h ^= h >> {k}; ", f"s ^= s >> {k}; "), (f"h += h << {k}; ", f"s += s << {k}; ")]
        )
    bucket = rng.choice(["", "", "", f" & {rng.choice([255, 1023, 4095, 63])}"])
    c = f"{c_type} h = {'s' if given else start}; {loop} {post}return h{bucket};"
    first = "{s}" if given else f"({word}){start}"
    value = f"HASH({first}, {n}, {{a}}, {base})"
    own = f"{head}{word} s = {value}; {own_post}return s{bucket};" if own_post else f"{head}return {value}{bucket};"
    key = f"hash-{word}/{form}/{elem.c}/{'given' if given else 'start'}/{bool(post)}{bool(bucket)}"
    return make("hashes", key, sig, c_type, c, _filled(sig, own))


def _sums(rng: random.Random) -> Pair:
    """Adler's and Fletcher's sums."""
    elem = rng.choice([U8, U8, U8, U16])
    m = rng.choice([65521, 65521, 255, 65535, 251, 257, rng.randint(200, 65536)])
    if elem is U16:
        m = rng.choice([65535, 65535, 65521, rng.randint(30000, 65536)])
    first = rng.choice([0, 1, 1])
    sig = Signature()
    walk = Walk.draw(rng)
    walk.declare(sig, elem, rng)
    given = rng.random() < 0.25
    if given:
        sig.add("s", "uint32_t s", "x:32:0")
    sig.shuffle(rng)
    low, high = ("s & 0xffff", "s >> 16") if given else (str(first), "0")
    s = sig.at("s") if given else ""
    own_low, own_high = (f"{s} & 65535", f"{s} >> 16") if given else (str(first), "0")
    shift = 8 if m <= 256 and rng.random() < 0.7 else 16
    body = rng.choice([f"p = (p + x) % {m}; q = (q + p) % {m};", f"p += x; p %= {m}; q += p; q %= {m};",
                       f"p = (p + x) % {m}; q = (p + q) % {m};"])  # fmt: skip
    join, own_join = rng.choice([(f"(q << {shift}) | p", f"t << {shift} | s"),
                                 (f"q << {shift} | p", f"t << {shift} | s"),
                                 ("q", "t"), (f"q * {1 << shift} + p", f"(t << {shift}) + s")])  # fmt: skip
    c = f"uint32_t p = {low}, q = {high}; {walk.loop(elem, body)} return {join};"
    text = (f"u32 s = {own_low}, t = {own_high}; FLETCHER(s, t, {walk.n(sig)}, {sig.at('a')}, {m}); "
            f"return {own_join};")  # fmt: skip
    return make("hashes", f"sums/{walk.count}/{elem.c}/{m}/{given}", sig, "uint32_t", c, text)


def _held_two_checks(rng: random.Random) -> Pair:
    """A check and a hash of the same bytes, put together."""
    count = rng.choice(list(COUNTS))
    right = rng.random() < 0.5
    polynomial = _polynomial(rng, 32, right)
    base = _base(rng)
    sig = Signature()
    Walk(count, "for").declare(sig, U8, rng)
    sig.shuffle(rng)
    into = "c ^= a[i];" if right else "c ^= (uint32_t)a[i] << 24;"
    c = (
        f"uint32_t c = 0, h = 0; for ({count} i = 0; i < n; i++) {{ {into} "
        f"{_bits_loop(rng, 'uint32_t', 32, right, polynomial)} h = h * {base} + a[i]; }} return c ^ h;"
    )
    n, a = sig.at("n"), sig.at("a")
    macro = "CRCR" if right else "CRC"
    text = f"return {macro}(0, {n}, {a}, {_number(polynomial, 32)}) ^ HASH(0u, {n}, {a}, {base});"
    return make("held-check-and-hash", f"{macro}/{count}", sig, "uint32_t", c, text)


def _held_both_hashes(rng: random.Random) -> Pair:
    """Whether two strings have the same hash."""
    base = _base(rng)
    sig = Signature()
    sig.add("a", "const char *a", "z")
    sig.add("b", "const char *b", "y")
    c = (
        f"unsigned g = 0, h = 0; while (*a) {{ {_hash_step(rng, 'g', base, '*a')} a++; }} "
        f"while (*b) {{ {_hash_step(rng, 'h', base, '*b')} b++; }} return g == h;"
    )
    text = (
        f"u64 k = FINDZ(a, x == 0); u64 m = FINDZ(b, x == 0); return HASH(0u, k, a, {base}) == HASH(0u, m, b, {base});"
    )
    return make("held-same-hash", f"{base}", sig, "int", c, text)


def _held_check_matches(rng: random.Random) -> Pair:
    """Whether bytes have the check that is asked for."""
    bits = rng.choice([32, 16])
    right = rng.random() < 0.5
    polynomial = _polynomial(rng, bits, right)
    count = rng.choice(list(COUNTS))
    t = f"uint{bits}_t"
    sig = Signature()
    Walk(count, "for").declare(sig, U8, rng)
    sig.add("s", f"{t} s", f"x:{bits}:0" if bits == 32 else f"c:{bits}:0")
    sig.shuffle(rng)
    into = "c ^= a[i];" if right else f"c ^= ({t})a[i] << {bits - 8};"
    c = (
        f"{t} c = 0; for ({count} i = 0; i < n; i++) {{ {into} {_bits_loop(rng, t, bits, right, polynomial)} }} "
        f"return c == s;"
    )
    macro = "CRCR" if right else {32: "CRC", 16: "CRC16"}[bits]
    text = f"return {macro}(0, {sig.at('n')}, {sig.at('a')}, {_number(polynomial, bits)}) == {sig.at('s')};"
    return make("held-check-matches", f"{macro}/{count}", sig, "int", c, text)
