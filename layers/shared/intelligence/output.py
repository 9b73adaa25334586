"""What of a model's text reaches the client: plain text, with no link that is not in the sources.

A model can be talked into a link that carries what it knows to somebody else's server. Many clients make links of what
looks like one, and load what Markdown calls an image. So a link stays only if the whole of it is in the sources or the
question, and Markdown's links and images lose their form.
"""

import re

from intelligence.prompt import INVISIBLE

REMOVED = "(link removed)"

LONGEST_WORD = 2_048
"""How much is held back at most, until it is known whether it is a link."""

# Scripts without spaces, in which no link is written, end a word too.
_WORD = re.compile(r"[^\s\u2e80-\uffff]+")
_LINK = re.compile(
    r"""(?ix)
    (?: [a-z][a-z0-9+.-]* : )? // [^\s\u2e80-\uffff]*              # https://host, //host, and what stands for them
    | \b (?: mailto | tel | sms | data | javascript | vbscript | file | blob ) : [^\s\u2e80-\uffff]+
    | \b www \. [^\s\u2e80-\uffff]*
    # host.example/path
    | \b [a-z0-9-]+ (?: \. [a-z0-9-]+ )* \. [a-z][a-z0-9-]+ (?: : \d+ )? [/?\#] [^\s\u2e80-\uffff]*
    """
)
_MARKDOWN = re.compile(r"\](?=[(:])")
_AFTER_LINK = ".,;:!?'\")]}>*_`…"


def find_links(text: str) -> frozenset[str]:
    """Return the links in a text, without punctuation after them.

    >>> sorted(find_links("See https://example.com/a, or www.example.org."))
    ['https://example.com/a', 'www.example.org']
    """
    return frozenset(found[0].rstrip(_AFTER_LINK) for found in _LINK.finditer(text))


class LinkFilter:
    """Passes on a text piece by piece. The last word is held back until it is complete.

    Args:
        allowed: the links that stay.
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece, and return what can be passed on."""
        text = self._held + INVISIBLE.sub("", piece)
        ready = len(text)
        *_, last = [None, *_WORD.finditer(text)]
        if last is not None and last.end() == len(text):
            ready = last.start()
        if len(text) - ready > LONGEST_WORD:
            # Nobody reads such a word.
            ready = len(text)
        self._held = text[ready:]
        return self._clean(text[:ready])

    def finish(self) -> str:
        """Return what is left at the end."""
        held, self._held = self._held, ""
        return self._clean(held)

    def _clean(self, text: str) -> str:
        return _MARKDOWN.sub("] ", _LINK.sub(self._replace, text))

    def _replace(self, found: re.Match[str]) -> str:
        link = found[0].rstrip(_AFTER_LINK)
        return found[0] if link in self._allowed else REMOVED + found[0][len(link) :]
