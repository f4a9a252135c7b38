"""The C text of one function, cut from the source it was written in.

A scanner that knows comments, strings, character constants and brackets, and no grammar. It finds the ordinary case
(`type name(parameters) {` at file level) and returns None for everything else.

Not covered, always None: names made by macros, definitions inside headers, K&R parameter lists, functions with the
same name under different `#if` branches (two definitions are one too many to choose from).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SOURCE = 4 << 20
"""Characters of source looked at; a longer file is not searched."""


@dataclass(frozen=True, slots=True)
class Found:
    """A definition inside a text: `text[start:end]` is everything from its first specifier to its closing brace."""

    start: int
    end: int
    text: str
    signature: str
    """The declaration without its body, white space collapsed."""


# Comments and literals, so that brackets inside them do not count.
_OPAQUE = re.compile(r"//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M | re.S)


def blanked(source: str, *, directives: bool = True) -> str:
    """`source` with comments, literals and (unless asked otherwise) preprocessor lines turned to blanks.

    Same length, same line breaks.
    """
    text = _OPAQUE.sub(lambda match: _blank(match.group()), source)
    return _DIRECTIVE.sub(lambda match: _blank(match.group()), text) if directives else text


def without_comments(source: str) -> str:
    """`source` with each comment replaced by one blank (line breaks inside it are kept)."""

    def shorten(match: re.Match[str]) -> str:
        text = match.group()
        return " " + "\n" * text.count("\n") if text.startswith("/") else text

    return _OPAQUE.sub(shorten, source)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def find(source: str, name: str) -> Found | None:
    """The one definition of `name` at file level of `source`, or None."""
    if len(source) > MAX_SOURCE or not re.fullmatch(r"[A-Za-z_$][\w$]*", name):
        return None
    # `extern "C" {` opens no function; its literal is blank by now. Its closing brace makes the depth negative.
    text = re.sub(r"\bextern\s*\{", lambda match: _blank(match.group()), blanked(source))
    spans = [span for match in re.finditer(rf"(?<![\w$]){re.escape(name)}\s*\(", text) if (span := _span(text, match))]
    if len(spans) != 1:
        return None
    start, brace, end = spans[0]
    return Found(start, end, source[start:end], " ".join(text[start:brace].split()))


def _span(text: str, match: re.Match[str]) -> tuple[int, int, int] | None:
    """(first specifier, opening brace, past the closing brace) when the match is the name in a definition."""
    if text.count("{", 0, match.start()) > text.count("}", 0, match.start()):
        return None
    close = _matching(text, match.end() - 1, "(", ")")
    if close is None:
        return None
    brace = _skip_attributes(text, close)
    if brace is None:
        return None
    end = _matching(text, brace, "{", "}")
    if end is None:
        return None
    start = max(text.rfind(stop, 0, match.start()) for stop in ";}") + 1
    start += len(text[start:]) - len(text[start:].lstrip())
    specifiers = text[start : match.start()]
    if not re.search(r"\w", specifiers) or re.search(r"[={]", specifiers):
        return None
    return start, brace, end


def _skip_attributes(text: str, position: int) -> int | None:
    """Position of the `{` after a parameter list, over attributes; None when something else follows."""
    while True:
        match = re.compile(r"\s*(\{|__attribute__\s*\(|__attribute\s*\(|noexcept\b|const\b)").match(text, position)
        if match is None:
            return None
        word = match.group(1)
        if word == "{":
            return match.end() - 1
        if word.endswith("("):
            close = _matching(text, match.end() - 1, "(", ")")
            if close is None:
                return None
            position = close
        else:
            position = match.end()


def _matching(text: str, position: int, opening: str, closing: str) -> int | None:
    """Position past the bracket that closes the one at `position`."""
    depth = 0
    for match in re.compile(f"[{re.escape(opening + closing)}]").finditer(text, position):
        depth += 1 if match.group() == opening else -1
        if depth == 0:
            return match.end()
    return None
