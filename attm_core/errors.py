"""The errors a user can meet: each message says what was wrong and what to do about it."""


class AttmError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(AttmError, ValueError):
    """A value, file or array handed in is not what the function needs."""


class ConfigError(AttmError, ValueError):
    """A profile, stage or command-line option is unknown or inconsistent."""


class CheckpointError(AttmError):
    """A weight file is corrupt, truncated, of the wrong shape, or holds NaN."""


class AssetError(AttmError):
    """A checkpoint or data set is missing, fails its hash, or cannot be fetched."""


class RenderError(AttmError):
    """A score cannot be parsed, arranged or rendered."""


class ResultError(AttmError):
    """A stored result is missing, malformed, or carries no provenance."""


class StorageError(AttmError):
    """A disk is full, or its file system lacks something that is needed, such as locks."""
