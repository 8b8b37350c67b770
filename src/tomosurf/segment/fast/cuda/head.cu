// The head: 32 channels to logits.
//
// Norm, leaky ReLU and the 1x1x1 convolution; logits leave as (n, class, z, y, x). Classes are the product's rows, so
// that each thread has eight neighbouring voxels of a class. Grid: (any, n); 256 threads. Up to 16 * GROUPS classes.
template <int GROUPS>
__device__ __forceinline__ void head(const uint4* values, const float2* norm, const u32* weights, const float* bias,
                                     float* out, int voxels, int classes, float slope) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, q = lane % 4, row = lane / 4, n = blockIdx.y;
    float scale[8], shift[8];
    eight(norm + n * 32, q * 8, scale, shift);
    u32 a[GROUPS][2][4];
    float add[GROUPS][2];
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
#pragma unroll
        for (int k = 0; k < 2; ++k)
            for (int r = 0; r < 4; ++r) a[g][k][r] = weights[((g * 2 + k) * 4 + r) * 32 + lane];
        for (int i = 0; i < 2; ++i) add[g][i] = g * 16 + i * 8 + row < classes ? bias[g * 16 + i * 8 + row] : 0.f;
    }
    const uint4* from = values + (long long)n * voxels * 4;
    for (int first = (blockIdx.x * 8 + warp) * 32; first < voxels; first += gridDim.x * 8 * 32) {
        uint4 got[4];
#pragma unroll
        for (int t = 0; t < 4; ++t) {
            const int p = first + row / 2 * 8 + 2 * t + row % 2;
            got[t] = p < voxels ? __ldg(from + (long long)p * 4 + q) : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (int t = 0; t < 4; ++t) got[t] = normed(got[t], scale, shift, slope);
#pragma unroll
        for (int g = 0; g < GROUPS; ++g) {
            float d[4][4];
#pragma unroll
            for (int t = 0; t < 4; ++t) {
                d[t][0] = d[t][1] = add[g][0];
                d[t][2] = d[t][3] = add[g][1];
                multiply(d[t], a[g][0][0], a[g][0][1], a[g][0][2], a[g][0][3], got[t].x, got[t].y);
                multiply(d[t], a[g][1][0], a[g][1][1], a[g][1][2], a[g][1][3], got[t].z, got[t].w);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const int c = g * 16 + i * 8 + row, p = first + q * 8;
                if (c >= classes) continue;
                float* to = out + ((long long)n * classes + c) * voxels + p;
                if (voxels % 8 == 0 && p < voxels) {
                    ((float4*)to)[0] = make_float4(d[0][2 * i], d[0][2 * i + 1], d[1][2 * i], d[1][2 * i + 1]);
                    ((float4*)to)[1] = make_float4(d[2][2 * i], d[2][2 * i + 1], d[3][2 * i], d[3][2 * i + 1]);
                } else {
#pragma unroll
                    for (int e = 0; e < 8; ++e)
                        if (p + e < voxels) to[e] = d[e / 2][2 * i + e % 2];
                }
            }
        }
    }
}

#define HEAD(NAME, GROUPS)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                              \
        NAME(const uint4* values, const float2* norm, const u32* weights, const float* bias, float* out,           \
             int voxels, int classes, float slope) {                                                               \
        head<GROUPS>(values, norm, weights, bias, out, voxels, classes, slope);                                    \
    }
HEAD(head_16, 1)
HEAD(head_32, 2)
HEAD(head_48, 3)
HEAD(head_64, 4)
HEAD(head_128, 8)
