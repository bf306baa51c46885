"""Scores, arrangements, captions, segments, stems and preferences (Sections III-C, III-D)."""
