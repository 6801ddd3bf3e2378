"""Estimates of cycles, resources, power and energy, from a graph, a plan and a device; no torch, no jinja2, no tools."""
