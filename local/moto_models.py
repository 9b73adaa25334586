"""Has moto forget what nobody refers to any more.

Moto keeps every instance of its models, of DynamoDB each item ever written and each copy made for an answer, to show
them on a dashboard of its own server. Under load the process would grow by some kilobytes a request.
"""

from typing import Any

from moto.core.common_models import BaseModel


def install_untracked_models() -> None:
    """Replace what notes each new instance."""
    BaseModel.__new__ = staticmethod(_create_untracked)  # type: ignore[method-assign]


def _create_untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)
