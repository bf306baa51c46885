"""Frozen encoders of text and audio: the mini cast and the paper's."""
