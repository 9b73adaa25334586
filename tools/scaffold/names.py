"""Names of nouns and functions, in each spelling that a project needs."""

import keyword
import re
import sys
from dataclasses import dataclass
from typing import Self

from tools.scaffold.changes import ScaffoldError

_SNAKE = re.compile(r"[a-z]+(_[a-z]+)*")
_SOUNDS_LIKE_YOU = re.compile(r"(uni|use|usu|eu|one)")
# Names that a module of a function, a document of the API or this project has already.
_TAKEN = {"app", "count", "models", "nexttoken", "records", "serverless_api", "tests", "tools", "functions", "id"}


def check_name(name: str, setting: str, example: str) -> None:
    """Check that a name is in snake case and no word of Python.

    Raises:
        ScaffoldError: it is not.
    """
    if not name:
        raise ScaffoldError(f"Set {setting}= to a name such as {example}.")
    if not _SNAKE.fullmatch(name):
        raise ScaffoldError(
            f"{setting}={name} is not a name in snake case, such as {example}: use lower-case letters and underscores."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _TAKEN:
        raise ScaffoldError(f"{setting}={name} is a reserved word; choose another name.")


def to_pascal(name: str) -> str:
    """Return a name in snake case as `PascalCase`.

    >>> to_pascal("line_item")
    'LineItem'
    """
    return "".join(word.capitalize() for word in name.split("_"))


def to_camel(name: str) -> str:
    """Return a name in snake case as `camelCase`."""
    pascal = to_pascal(name)
    return pascal[0].lower() + pascal[1:]


def add_article(words: str) -> str:
    """Return words with `a` or `an` in front.

    >>> add_article("invoice")
    'an invoice'
    """
    has_vowel = words[0] in "aeiou" and not _SOUNDS_LIKE_YOU.match(words)
    return f"{'an' if has_vowel else 'a'} {words}"


def make_plural(noun: str) -> str:
    """Return the regular plural of a noun.

    >>> [make_plural(noun) for noun in ("invoice", "category", "box", "day")]
    ['invoices', 'categories', 'boxes', 'days']
    """
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(s|x|z|ch|sh)$", noun) else f"{noun}s"


@dataclass(frozen=True)
class Noun:
    """A noun in the singular and the plural, in snake case."""

    singular: str
    plural: str

    @classmethod
    def parse(cls, name: str, plural: str = "") -> Self:
        """Return the noun of a command's settings.

        Raises:
            ScaffoldError: a name is no identifier, is reserved, or both are the same.
        """
        check_name(name, "NAME", "invoice")
        plural = plural or make_plural(name)
        check_name(plural, "PLURAL", "invoices")
        if plural == name:
            raise ScaffoldError(f"NAME={name} and its plural are the same word; set PLURAL= to another one.")
        if plural in sys.stdlib_module_names:
            raise ScaffoldError(f"NAME={name} is taken: {plural} is a module of Python; choose another name.")
        return cls(name, plural)

    @property
    def words(self) -> dict[str, str]:
        """The spellings, by the names that the files of this package use."""
        singular, plural = self.singular.replace("_", " "), self.plural.replace("_", " ")
        return {
            "thing": self.singular,
            "things": self.plural,
            "Thing": to_pascal(self.singular),
            "Things": to_pascal(self.plural),
            "thingsKey": to_camel(self.plural),
            "path": self.plural.replace("_", "-"),
            "word": singular,
            "words": plural,
            "a_word": add_article(singular),
            "a_thing": add_article(singular).replace(" ", "_"),
        }
