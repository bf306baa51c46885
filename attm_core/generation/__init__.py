"""Guidance, sampling and post-processing (Section III-E)."""
