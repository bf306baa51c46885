"""What the paper states, and how each statement stands: its numbers, the ledger, the audits."""
