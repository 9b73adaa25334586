"""Certificate authorities: for AWS, Amazon's own roots, and the system's only if a server's certificate needs them.

Reading the system's 140 authorities takes longer than any other part of a cold start. `amazon_roots.pem` has the five
roots of Amazon Trust Services (www.amazontrust.com/repository).
"""

import os
import ssl
from pathlib import Path

AMAZON_ROOTS = Path(__file__).with_name("amazon_roots.pem")


class Authorities:
    """The authorities that one server's certificate is verified with.

    Attributes:
        context: verifies certificates with them.
    """

    def __init__(self, *, is_aws: bool) -> None:
        """Read the authorities: `AWS_CA_BUNDLE` for AWS if it is set, else Amazon's roots; the system's for others.

        Args:
            is_aws: whether the server is one of AWS.
        """
        bundle = os.environ.get("AWS_CA_BUNDLE") if is_aws else None
        self._can_widen = is_aws and not bundle
        self.context = ssl.create_default_context(cafile=bundle or (AMAZON_ROOTS if is_aws else None))

    def widen(self) -> bool:
        """Trust the system's authorities from here on; return False if nothing more can be trusted."""
        if not self._can_widen:
            return False
        self._can_widen = False
        self.context = ssl.create_default_context()
        return True
