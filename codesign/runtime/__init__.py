"""The runtime side of a cascade: which frames stop where, and at which threshold."""
