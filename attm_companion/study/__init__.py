"""Profiles, cached stages and the experiments behind every table and figure."""
