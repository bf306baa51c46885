"""Mel spectrogram, 1-D VAE and vocoder (Section III-A)."""
