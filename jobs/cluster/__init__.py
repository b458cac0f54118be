"""Job files on a Ray cluster, through its job server: submitted with the code that is imported here, looked after, and
stopped in good order."""
