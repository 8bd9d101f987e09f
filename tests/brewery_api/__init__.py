"""A small server that follows the Open Brewery DB API v1; the standard library is all it needs."""
