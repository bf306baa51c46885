"""The audit of the public release: scores, clips, prompts and the ranker's files."""
