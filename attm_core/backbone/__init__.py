"""FluxAudio and the five score-conditioning heads (Sections III-A and III-B)."""
