"""A drawn world whose captions, pictures and checker share one truth: the model's training set and its exam."""
