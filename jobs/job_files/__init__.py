"""Job files: YAML that says what to make, when, and whom to tell; checked as a whole before anything runs."""
