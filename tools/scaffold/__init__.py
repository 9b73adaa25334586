"""Commands that write and remove code: an endpoint, a noun, a part, and the starter of a new project."""
