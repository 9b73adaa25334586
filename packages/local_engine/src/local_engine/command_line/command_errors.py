"""Errors of the command line. Each message is a sentence for the user."""


class ArgumentError(Exception):
    """An argument of the command line is wrong."""


class InputFileError(Exception):
    """A file of the command line is missing or not valid."""


class PortError(Exception):
    """A port is taken or not allowed."""


class MissingToolError(Exception):
    """A program or package that an option needs is not installed."""
