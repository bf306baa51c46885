"""The check of a notebook's parameters, for pages that open no study."""

from attm_companion.notebook_parameters import check_injected

__all__ = ["check_injected"]
