"""Other people's models: read from a folder, or fetched and read."""
