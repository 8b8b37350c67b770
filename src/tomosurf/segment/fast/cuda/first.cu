// The first convolution: one to four channels to 32.
//
// The 27 taps of a channel are 32 rows of k. Blocks of 64 x 4 x 4 voxels. Grid: (x * y, z, n); 256 threads.
// `values` is (n, channel, z, y, x).
template <int CIN>
__device__ __forceinline__ void first(const unsigned short* values, const u32* weights, uint4* out, float* partial,
                                      int channels, int depth, int height, int width) {
    const int SX = 66, SY = 6, SIZE = 6 * SY * SX;
    __shared__ unsigned short tile[CIN * SIZE];
    __shared__ float shared[8 * 64];
    const int tiles = (width + 63) / 64, n = blockIdx.z;
    const int x0 = blockIdx.x % tiles * 64, y0 = blockIdx.x / tiles * 4, z0 = blockIdx.y * 4;
    for (int c = threadIdx.x; c < CIN * SIZE; c += 256) {
        const int x = x0 + c % SX - 1, y = y0 + c / SX % SY - 1, z = z0 + c / (SX * SY) % 6 - 1, channel = c / SIZE;
        const bool inside = x >= 0 && x < width && y >= 0 && y < height && z >= 0 && z < depth && channel < channels;
        const long long p = ((((long long)n * channels + channel) * depth + z) * height + y) * width + x;
        tile[c] = inside ? values[p] : (unsigned short)0;
    }
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, q = lane % 4, row = lane / 4;
    u32 b[CIN * 2][4][2];   // (16 of k, 8 columns, half of k)
    int offset[2][4];
#pragma unroll
    for (int k = 0; k < CIN * 2; ++k) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            b[k][j][0] = weights[((k * 4 + j) * 2 + 0) * 32 + lane];
            b[k][j][1] = weights[((k * 4 + j) * 2 + 1) * 32 + lane];
        }
    }
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        const int tap = c / 4 * 16 + c / 2 % 2 * 8 + q * 2 + c % 2;
        offset[c / 4][c % 4] = tap < 27 ? (tap / 9 * SY + tap / 3 % 3) * SX + tap % 3 : 0;
    }
    __syncthreads();
    float sum[8], square[8];
#pragma unroll
    for (int c = 0; c < 8; ++c) sum[c] = square[c] = 0.f;
    for (int line = warp; line < 64; line += 8) {   // (z, y, 16 of x)
        const int lz = line / 16, ly = line / 4 % 4, lx = line % 4 * 16 + row;
        const unsigned short* from = tile + (lz * SY + ly) * SX + lx;
        float d[4][4];
#pragma unroll
        for (int j = 0; j < 4; ++j) d[j][0] = d[j][1] = d[j][2] = d[j][3] = 0.f;
#pragma unroll
        for (int k = 0; k < CIN * 2; ++k) {
            u32 a[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                const int at = k / 2 * SIZE + r % 2 * 8;
                const int low = offset[k % 2][r / 2 * 2], high = offset[k % 2][r / 2 * 2 + 1];
                a[r] = from[at + low] | ((u32)from[at + high] << 16);
            }
#pragma unroll
            for (int j = 0; j < 4; ++j) multiply(d[j], a[0], a[1], a[2], a[3], b[k][j][0], b[k][j][1]);
        }
        const int z = z0 + lz, y = y0 + ly;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int x = x0 + lx + 8 * i;
            if (x < width && y < height && z < depth) {
                const long long p = (((long long)n * depth + z) * height + y) * width + x;
                out[p * 4 + q] = make_uint4(pack(d[0][2 * i], d[0][2 * i + 1]), pack(d[1][2 * i], d[1][2 * i + 1]),
                                            pack(d[2][2 * i], d[2][2 * i + 1]), pack(d[3][2 * i], d[3][2 * i + 1]));
#pragma unroll
                for (int c = 0; c < 8; ++c) {
                    const float v = d[c / 2][2 * i + c % 2];
                    sum[c] += v;
                    square[c] += v * v;
                }
            }
        }
    }
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        sum[c] = over_rows(sum[c]);
        square[c] = over_rows(square[c]);
        if (lane < 4) {
            shared[warp * 64 + (lane * 8 + c) * 2] = sum[c];
            shared[warp * 64 + (lane * 8 + c) * 2 + 1] = square[c];
        }
    }
    __syncthreads();
    if (threadIdx.x < 64) {
        float total = 0.f;
        for (int w = 0; w < 8; ++w) total += shared[w * 64 + threadIdx.x];
        const int parts = gridDim.x * gridDim.y, part = blockIdx.y * gridDim.x + blockIdx.x;
        partial[(long long)(n * 64 + threadIdx.x) * parts + part] = total;
    }
}

#define FIRST(NAME, CIN)                                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                              \
        NAME(const unsigned short* values, const u32* weights, uint4* out, float* partial, int channels, int depth, \
             int height, int width) {                                                                              \
        first<CIN>(values, weights, out, partial, channels, depth, height, width);                                 \
    }
FIRST(first_1, 1)
FIRST(first_2, 2)
FIRST(first_4, 4)
