"""What `images lock` pins: images by their digests, packages of stand-ins by version and hash."""
