"""The system of "Improving Text-to-Music Generation with Human Preference Rewards", in one package.

Importing it is light: torch comes with the numeric modules, everything heavier (demucs, laion_clap,
transformers, music21) only with the function that needs it. Shape letters used throughout:

====== =============================================
letter meaning
====== =============================================
B      batch
N      latent frames
C      channels: latent channels in (B, N, C), audio channels in (C, S)
D      width of the backbone
T      text tokens
F      width of a text token
P      width of a pooled (CLAP) embedding
M      mel bands
L      mel frames
S      audio samples
====== =============================================
"""

__version__ = "0.1.0"
