"""The bottom room: what the execution environment tells the code."""
