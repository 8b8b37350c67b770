// The transposed convolution of size and stride 2, to 32 channels.
//
// Each coarse voxel times eight matrices, one a fine voxel. A warp takes 32 coarse voxels; all eight taps' weights
// lie in shared memory in the order of fragments. Grid: (any, n); 256 threads.
template <int CIN>
__device__ __forceinline__ void raise(const uint4* values, const float2* norm, const uint4* weights,
                                      const float* bias, uint4* out, int depth, int height, int width, float slope) {
    extern __shared__ __align__(1024) char memory[];
    uint4* table = (uint4*)memory;   // (tap, 16 of k, pair of 8 columns, lane): 8 * CIN / 16 * 2 * 32
    for (int c = threadIdx.x; c < 8 * CIN / 16 * 2 * 32; c += 256) table[c] = __ldg(weights + c);
    __syncthreads();
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, q = lane % 4, row = lane / 4, n = blockIdx.y;
    const int voxels = depth * height * width;
    const uint4* from = values + (long long)n * voxels * (CIN / 8);
    float add[8];
#pragma unroll
    for (int c = 0; c < 8; ++c) add[c] = bias ? bias[q * 8 + c] : 0.f;
    for (int first = (blockIdx.x * 8 + warp) * 32; first < voxels; first += gridDim.x * 8 * 32) {
        u32 a[2][CIN / 16][4];
#pragma unroll
        for (int k = 0; k < CIN / 32; ++k) {   // a 16-byte load gives this thread's part of 32 channels of k
            uint4 got[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                const int p = first + r * 8 + row;
                got[r] = p < voxels ? __ldg(from + (long long)p * (CIN / 8) + k * 4 + q) : make_uint4(0, 0, 0, 0);
            }
            if (norm) {
                float scale[8], shift[8];
                eight(norm + n * CIN, (k * 4 + q) * 8, scale, shift);
#pragma unroll
                for (int r = 0; r < 4; ++r) got[r] = normed(got[r], scale, shift, slope);
            }
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                a[r / 2][2 * k][r % 2] = got[r].x;
                a[r / 2][2 * k][2 + r % 2] = got[r].y;
                a[r / 2][2 * k + 1][r % 2] = got[r].z;
                a[r / 2][2 * k + 1][2 + r % 2] = got[r].w;
            }
        }
#pragma unroll 1
        for (int tap = 0; tap < 8; ++tap) {
            float d[2][4][4];
#pragma unroll
            for (int j = 0; j < 4; ++j)
                for (int r = 0; r < 4; ++r) d[0][j][r] = d[1][j][r] = add[2 * j + r % 2];
#pragma unroll
            for (int k = 0; k < CIN / 16; ++k) {
#pragma unroll
                for (int pair = 0; pair < 2; ++pair) {
                    const uint4 b = table[((tap * (CIN / 16) + k) * 2 + pair) * 32 + lane];
#pragma unroll
                    for (int m = 0; m < 2; ++m) {
                        multiply(d[m][2 * pair], a[m][k][0], a[m][k][1], a[m][k][2], a[m][k][3], b.x, b.y);
                        multiply(d[m][2 * pair + 1], a[m][k][0], a[m][k][1], a[m][k][2], a[m][k][3], b.z, b.w);
                    }
                }
            }
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const int p = first + m * 16 + i * 8 + row;
                    if (p < voxels) {
                        const int x = p % width * 2 + tap % 2, y = p / width % height * 2 + tap / 2 % 2;
                        const int z = p / (width * height) * 2 + tap / 4;
                        const long long o = (((long long)n * depth * 2 + z) * height * 2 + y) * width * 2 + x;
                        const float(&v)[4][4] = d[m];
                        const int c = 2 * i;
                        out[o * 4 + q] = make_uint4(pack(v[0][c], v[0][c + 1]), pack(v[1][c], v[1][c + 1]),
                                                    pack(v[2][c], v[2][c + 1]), pack(v[3][c], v[3][c + 1]));
                    }
                }
            }
        }
    }
}

#define RAISE(NAME, CIN)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                          \
        NAME(const uint4* values, const float2* norm, const uint4* weights, const float* bias, uint4* out,        \
             int depth, int height, int width, float slope) {                                                     \
        raise<CIN>(values, norm, weights, bias, out, depth, height, width, slope);                                \
    }
RAISE(raise_64, 64)
