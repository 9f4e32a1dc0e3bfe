"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE: how many examples a property is tried with.

``dev`` is what ``make test`` takes, ``ci`` what ``.ci/run`` and ``make test-thorough`` do. Properties of histories, of
which an example is a whole run, take a share of that; the share is what keeps ``make test`` short.

No deadline in any of them: another process on the machine must not make a property fail.
"""

import os

from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
