"""A module of the layer."""

PARTS = ["one ", "two ", "three"]
