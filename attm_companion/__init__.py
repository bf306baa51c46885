"""What re-runs, tabulates, audits and publishes the system of `attm_core`."""
