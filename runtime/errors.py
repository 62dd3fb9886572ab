"""The package's errors, each with one sentence: what was got, what is expected."""


class EkgError(Exception):
    """Any error this package raises on purpose."""


class InputError(EkgError, ValueError):
    """The signal, its rate or its units cannot be used."""


class TokenError(InputError):
    """A stream's saved state is damaged, or belongs to another model."""


class StaleTokenError(TokenError):
    """A stream's saved state is whole, but another model's, version's or rate's.

    Attributes
    ----------
    recent_s : s of the last signal with which the stream goes on all the same (`Detector.resume`);
        0 if it cannot
    """

    def __init__(self, message: str, recent_s: float = 0.0):
        super().__init__(message)
        self.recent_s = recent_s


class RecordError(InputError):
    """A recording on disk is missing, damaged, or of an unknown format."""


class ModelError(EkgError):
    """The model files are damaged, do not belong together, or give a wrong answer."""


class ModelFileError(ModelError, FileNotFoundError):
    """A model file is not there."""


class ProviderError(EkgError, RuntimeError):
    """The requested execution provider does not run the model here."""


class MissingPackageError(EkgError, ImportError):
    """A package that the minimal runtime leaves out is needed; the message names it."""
