"""For tests: puts the engine back to the day, the service and the key ID of AWS's signature test vectors.

Python imports this module at its start if its folder is on PYTHONPATH. The engine has no setting for any of this.
"""

import re
import sys
from types import SimpleNamespace

NOW = 1440938160  # 2015-08-30T12:36:00Z

if "local_engine" in sys.orig_argv and "run" in sys.orig_argv:
    from local_engine.access import credentials, signatures
    from local_engine.function_url import url_access

    authenticate = url_access.authenticate

    def authenticate_service(request, principals, service, **options):
        return authenticate(request, principals, "service", **options)

    signatures.time = SimpleNamespace(time=lambda: NOW)
    credentials._ACCESS_KEY_ID = re.compile("AKIDEXAMPLE")
    url_access.authenticate = authenticate_service
