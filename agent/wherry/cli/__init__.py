"""The command lines of ``wherry`` and ``wherryd``."""
