"""The checks of the ledger, one module for each part of the paper; ``claims.yaml`` names them.

A check takes the transcription (``paper``), the release audit (``audit``) or both, and arguments
from ``claims.yaml``; it returns a verdict, or None for a finding, and figures. It writes no prose.
"""
