"""An image as its network sees it, and back from there."""
