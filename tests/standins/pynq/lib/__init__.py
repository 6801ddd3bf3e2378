"""Drivers of IP."""
