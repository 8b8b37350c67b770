"""Volume to Segmentation: by thresholds or by a network, always with margins."""
