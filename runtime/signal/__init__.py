"""Signal before any network sees it: units, resampling, quality, features."""
