"""Flow matching, the three stages of the chain, and post-hoc EMA (Section III-D)."""
