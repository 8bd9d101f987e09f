"""Images of registries: what is fetched, what is sent, and as whom.

The protocol is the OCI distribution specification; the settings are those that Docker and the
tools of the containers project leave on a machine.
"""
