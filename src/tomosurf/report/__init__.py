"""Case and findings to manifest, HTML and pictures."""
