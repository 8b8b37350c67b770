"""Value objects: frozen, valid once constructed, arrays read-only, numpy only. All geometry is LPS mm."""
