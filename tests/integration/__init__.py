"""The driver of an integration run: it uses a stack that is up and says how that went."""
