"""A job file and its schedule for KubeRay: `imagegen schedule --kubernetes FILE`."""
