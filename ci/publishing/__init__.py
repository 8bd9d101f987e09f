"""Where images go, what is said of them there, and how both are checked.

Images are pushed by the engine. Tags, and what is attached to an image, are small documents: they
go through the client of the OCI distribution protocol, in threads, without any engine.
"""
