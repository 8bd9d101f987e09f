"""Dockerfiles: the syntax tree, its parser and word expansion; nothing here touches a container."""
