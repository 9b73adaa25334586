"""What all tests share."""

import os
import signal

from hypothesis import settings

# A shell that starts the tests in the background has SIGINT ignored, which the servers that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, so that a failure repeats; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeat", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
