"""Running one command in a container of its own: what to run, where its output goes, and crun."""
