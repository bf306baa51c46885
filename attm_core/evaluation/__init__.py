"""FAD-CLAP, CLAP score, Reward and the statistics of Section IV."""
