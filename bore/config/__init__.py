"""
Settings files in TOML: their tables as values of options, all their mistakes at once, and what a new version changes.

The keys are the options' long flags (:mod:`bore.options`). Nothing of this is imported where no file is read.
"""
