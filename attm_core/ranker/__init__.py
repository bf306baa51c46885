"""TuneJury, the pairwise preference ranker (Section III-C)."""
