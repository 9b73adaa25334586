"""Documentation of an API as a web page."""
