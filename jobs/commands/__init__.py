"""The commands: thin functions that parse, call and exit; the work is in `jobs` and imported when a command runs."""
