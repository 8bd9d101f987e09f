"""Scripts that run inside the built image, on its own Python: they import nothing of ours."""
