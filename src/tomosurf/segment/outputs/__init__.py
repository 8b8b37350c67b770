"""A network's outputs, slab by slab, to labels, margins and doubt."""
