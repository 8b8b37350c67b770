// Instance norm: from sums to scale and shift, and their use on a whole tensor.

// Makes (scale, shift) a channel from its parts. Grid: (channels, n); 128 threads.
extern "C" __global__ void finish_norm(const float* partial, const float* gamma, const float* beta, float2* norm,
                                       int parts, float voxels, float epsilon) {
    __shared__ double sums[2][128];
    const int channel = blockIdx.x, t = threadIdx.x;
    const float* from = partial + (long long)(blockIdx.y * gridDim.x + channel) * 2 * parts;
    double sum = 0, square = 0;
    for (int p = t; p < parts; p += 128) {
        sum += from[p];
        square += from[parts + p];
    }
    sums[0][t] = sum;
    sums[1][t] = square;
    for (int half = 64; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            sums[0][t] += sums[0][t + half];
            sums[1][t] += sums[1][t + half];
        }
    }
    if (t == 0) {
        const double mean = sums[0][0] / voxels, spread = fmax(sums[1][0] / voxels - mean * mean, 0.0);
        const float scale = (float)(1.0 / sqrt(spread + (double)epsilon)) * (gamma ? gamma[channel] : 1.f);
        norm[blockIdx.y * gridDim.x + channel] =
            make_float2(scale, (beta ? beta[channel] : 0.f) - (float)mean * scale);
    }
}

// Scale, shift and leaky ReLU of a whole tensor, in place where out == values. `eights` is its channels / 8, which
// divides 256. Grid: (any, n); 256 threads.
extern "C" __global__ void apply_norm(const uint4* values, const float2* norm, uint4* out, int voxels, int eights,
                                      float slope) {
    const int n = blockIdx.y, own = threadIdx.x % eights;
    float scale[8], shift[8];
    eight(norm + n * eights * 8, own * 8, scale, shift);
    const long long first = (long long)n * voxels * eights;
    for (int p = blockIdx.x * 256 + threadIdx.x; p < voxels * eights; p += gridDim.x * 256)
        out[first + p] = normed(values[first + p], scale, shift, slope);
}
