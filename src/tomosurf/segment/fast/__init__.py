"""The full-resolution part of U-shaped convolution networks on Hopper GPUs, by kernels of our own."""
