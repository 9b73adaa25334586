"""The orders of a user."""

from serverless_api import Collection

orders = Collection("order", model="OrderInput")
