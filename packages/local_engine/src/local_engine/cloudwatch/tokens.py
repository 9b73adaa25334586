"""Splits the small languages of CloudWatch (alarm rules, searches, metric math) into their words."""

import re
from collections.abc import Iterator


class UnreadableText(Exception):
    """Some text is none of the language's words.

    Attributes:
        rest: the text from there on.
    """

    def __init__(self, rest: str) -> None:
        super().__init__(rest)
        self.rest = rest


def split_tokens(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the words of a text, one behind the other.

    Args:
        pattern: matches a word with the white space before it.
        text: to be read; white space at its end is passed over.

    Raises:
        UnreadableText: the pattern matches nowhere further on.
    """
    text = text.rstrip()
    place = 0
    while place < len(text):
        match = pattern.match(text, place)
        if match is None:
            raise UnreadableText(text[place:].strip())
        yield match
        place = match.end()
