"""The `attm` command."""
