"""Jobs: the command line, settings from files and flags, progress, reports."""
