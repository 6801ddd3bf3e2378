"""What HLS prints for a single layer: its description, and models of the styles in which people write it."""
