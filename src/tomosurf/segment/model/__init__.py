"""What a model is, as data; where models lie, and how one comes into the user's folder."""
