"""Git repositories on servers: their refs, and the files of their commits."""
