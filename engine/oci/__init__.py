"""OCI images as files: references, configurations, layers and layout archives."""
