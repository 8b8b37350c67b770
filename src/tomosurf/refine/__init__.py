"""Segmentation to Segmentation: components and holes, labels and margins kept in step."""
