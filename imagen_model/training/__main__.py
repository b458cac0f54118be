"""`python -m imagen_model.training JOB.yaml`: what `imagegen train` runs, without the command line's packages."""

import sys

from .job import read_training_job
from .loop import train

if __name__ == "__main__":
    print(train(read_training_job(sys.argv[1])))
