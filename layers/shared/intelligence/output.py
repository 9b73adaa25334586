"""What of a model's text reaches the client: plain text, with no link that is not in the sources.

A model can be talked into a link that carries what it knows to somebody else's server. Many clients make links of what
looks like one, and load what Markdown or HTML calls an image. So a link stays only if the whole of it is in the sources
or the question, and what is markup loses its form.

A link runs to the next space, because clients differ in what ends it. What looks like the name of a host is one, also
with letters of other scripts. Names that begin in a script without spaces, such as Chinese, are seen only after `//`.
"""

import re

from intelligence.prompt import BLANKS, INVISIBLE

REMOVED = "(link removed)"

LONGEST_WORD = 2_048
"""How much is held back at most, until it is known whether it is a link."""

_STOPS = "\u3002\uff0e\uff61"
"""What browsers take for a dot of a host's name, besides the dot («UTS #46», section 2.3)."""
_UNSPACED = "\u2e80-\u3001\u3003-\uff0d\uff0f-\uff60\uff62-\uffff"
"""Scripts without spaces."""
_OTHERS = (
    BLANKS
    + _UNSPACED
    # Punctuation, and symbols that no name has.
    + r"!-*,/:-?\[-\^`{-~\xa1\xa7\xab\xb6\xb7\xbb\xbf"
    + r"\u2010-\u2027\u2030-\u205e\u2190-\u245f\u2500-\u2bff\U0001f000-\U0001faff"
)
_NAME = rf"[^{_OTHERS}]"
"""A character of the name of a scheme, a mailbox or a host. Marks and joiners are such characters too."""
_SIGN = rf"[^{_OTHERS}{_STOPS}.+@-]"
"""The same without punctuation."""
# It begins at the start of a name only, so that each name is read once.
_LINK = re.compile(
    rf"""(?ix) (?<! {_NAME} )
    (?: {_NAME}*+ :? [/\\]{{2}} (?= [^{BLANKS}] )             # https://host, //host, and what stands for them
      | {_NAME}*? (?<! [a-z0-9] )
        (?: https? | wss? | ftp | mailto | tel | sms | data | javascript | vbscript | file | blob ) : (?= [^{BLANKS}] )
      | www [.{_STOPS}] (?= {_NAME} )
      | {_NAME}*? {_SIGN} [.{_STOPS}] (?! [\d_] ) {_SIGN}{{2}}    # host.example, somebody@host.example
      | {_NAME}*? {_SIGN} (?<! \d ) \. (?! [\d_\W] ) [{_UNSPACED}]
      | {_NAME}*? \d{{1,3}} (?: [.{_STOPS}] \d{{1,3}} ){{3}}        # 192.0.2.1
    ) [^{BLANKS}]*+
    """
)
# The last characters of a text that may be the beginning of a link.
_TAIL = re.compile(rf"(?<! [^{BLANKS}{_UNSPACED}] ) [^{BLANKS}{_UNSPACED}]*+ \Z", re.VERBOSE)
# Links and images of Markdown, and character references of HTML, in which a link could be spelt.
_MARKUP = re.compile(r"\](?=[(:]) | &(?=\#|[a-z0-9]++;)", re.VERBOSE | re.IGNORECASE)
_ANGLES = str.maketrans("<>\uff1c\uff1e", "\u2039\u203a\u2039\u203a")
_SPACE = re.compile(rf"(?![ \t\n]) [{BLANKS}]", re.VERBOSE)
_AFTER_LINK = ".,;:!?'\")]}*_`\u2026\u203a" + _STOPS + "\u3001\uff0c\uff1b\uff1a\uff01\uff1f\u300d\u300f\uff09"


def find_links(text: str) -> frozenset[str]:
    """Return the links in a text, without punctuation after them.

    >>> sorted(find_links("See https://example.com/a, or www.example.org."))
    ['https://example.com/a', 'www.example.org']
    """
    return frozenset(found[0].rstrip(_AFTER_LINK) for found in _LINK.finditer(text))


class LinkFilter:
    """Passes on a text piece by piece. What may become a link is held back until it is complete.

    Args:
        allowed: the links that stay.
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece, and return what can be passed on."""
        text = self._held + _SPACE.sub(" ", INVISIBLE.sub("", piece)).translate(_ANGLES)
        *_, last = [None, *_LINK.finditer(text)]
        end = last.start() if last is not None and last.end() == len(text) else len(text)
        tail = _TAIL.search(text[:end])
        ready = tail.start() if tail else end
        self._held = text[ready:]
        if len(self._held) > LONGEST_WORD:
            # Nobody reads such a word. What follows is another one.
            ready, self._held = len(text), " "
        return self._clean(text[:ready])

    def finish(self) -> str:
        """Return what is left at the end."""
        held, self._held = self._held, ""
        return self._clean(held)

    def _clean(self, text: str) -> str:
        return _MARKUP.sub(r"\g<0> ", _LINK.sub(self._replace, text))

    def _replace(self, found: re.Match[str]) -> str:
        # What stands behind a link may carry something too, so only one mark of it stays.
        link = found[0].rstrip(_AFTER_LINK)
        return (link if link in self._allowed else REMOVED) + found[0][len(link) :][:1]
