"""Brewline's CI program: a graph of stages that work in containers through the Dagger SDK."""
