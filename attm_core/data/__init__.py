"""The paper's data: MTG-Jamendo, Song Describer, human preferences, feature extraction."""
