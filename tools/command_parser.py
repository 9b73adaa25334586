"""Parser of the tools' command lines."""

import argparse
import sys
from typing import NoReturn, override


class CommandParser(argparse.ArgumentParser):
    """A parser that answers a wrong argument with a sentence alone, without its usage."""

    @override
    def error(self, message: str) -> NoReturn:
        print(f"{message.removeprefix('argument ')}.", file=sys.stderr)
        raise SystemExit(2)
