"""Files and batches as in OpenAI's API, run by the batch pipeline through this server's own endpoint."""
