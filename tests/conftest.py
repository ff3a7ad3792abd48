"""Property tests draw the same examples in every run of the suite: what is green here is green there."""

from hypothesis import settings

settings.register_profile("same_everywhere", derandomize=True)
settings.load_profile("same_everywhere")
