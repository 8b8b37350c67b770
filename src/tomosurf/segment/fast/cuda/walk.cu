// The 3x3x3 convolution of stride 1, by warpgroup products (wgmma, PTX ISA).

// A descriptor of 8x8 blocks without swizzle: `along_k` and `along_m` are the bytes between neighbouring blocks.
__device__ __forceinline__ u64 blocks_at(u32 along_k, u32 along_m) {
    return ((u64)(along_k >> 4) << 16) | ((u64)(along_m >> 4) << 32);
}

#define F4(d, o) "+f"((d)[(o)]), "+f"((d)[(o) + 1]), "+f"((d)[(o) + 2]), "+f"((d)[(o) + 3])
#define F16(d, o) F4(d, o), F4(d, (o) + 4), F4(d, (o) + 8), F4(d, (o) + 12)
#define R16_0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define R16_1 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define R16_2 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"

__device__ __forceinline__ void multiply_96(float (&d)[48], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16 {" R16_0 "," R16_1 "," R16_2
                 "}, %48, %49, 1, 1, 1, 0, 0;"
                 : F16(d, 0), F16(d, 16), F16(d, 32) : "l"(a), "l"(b));
}
__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_end() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_done() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }
// The compiler may not use sums from before this point after it, nor the other way round.
template <int TILES> __device__ __forceinline__ void settle(float (&acc)[TILES][48]) {
#pragma unroll
    for (int c = 0; c < TILES * 48; ++c) asm volatile("" : "+f"(acc[c / 48][c % 48])::"memory");
}

// A block owns WIDE x 8 columns (x, y) of 32 output channels and walks along z. Each input plane, with its rim, is
// read once, normalised by the producers, kept in shared memory as (eight channels, position, channel of eight),
// and multiplied once for all three kz: three output planes grow at a time in registers, one is finished a step.
// Weights lie as (ky, kx, eight channels, kz = 2 1 0 2 1, output channel, channel of eight): the three kz that a
// step needs, in the order of its registers, are then three neighbours. The two warpgroups that multiply take turns:
// while one's sums are finished and stored, the other's fill the matrix units.
const int TALL = 8, ROWS = 160;

template <int CIN> struct Walk {
    static const int TILES = CIN == 32 ? 2 : 1;              // 8 x 8 positions each, for each of two warpgroups
    static const int WIDE = 16 * TILES, ACROSS = WIDE + 2, POSITIONS = ACROSS * (TALL + 2);
    static const int CHUNKS = CIN / 8;
    static const int WEIGHTS = 9 * CHUNKS * ROWS * 16;       // bytes
    static const int STRIDE = CIN == 32 ? 5536 : 2960;       // bytes between chunks; stores meet no bank twice
    static const int PLANE = CHUNKS * STRIDE;
    static const int PLANES = CIN == 32 ? 3 : 2;
};

struct Source {
    const uint4* values;
    const float2* norm;   // (n, channels) or null: as it is
};

enum { FULL = 1, EMPTY = 4, TURN = 7, SUMS = 9, CONSUMERS = 256, PRODUCERS = 128, EVERYBODY = 384 };

// One input plane into the three output planes that it touches; `phase` is its number mod 3.
template <int CIN>
__device__ __forceinline__ void one_plane(float (&acc)[Walk<CIN>::TILES][48], u64 a_first, u64 b_first, int phase) {
    typedef Walk<CIN> L;
    b_first += (2 - phase) * 32;
#pragma unroll 1
    for (int ky = 0; ky < 3; ++ky) {
#pragma unroll
        for (int c = 0; c < 3 * CIN / 16; ++c) {
            const int kx = c % 3, k = c / 3;
            const u64 b = b_first + (kx * L::CHUNKS + 2 * k) * ROWS;
#pragma unroll
            for (int t = 0; t < L::TILES; ++t)
                multiply_96(acc[t], a_first + (kx + 8 * t + 2 * k * (L::STRIDE >> 4)), b);
        }
        a_first += L::ACROSS;
        b_first += 3 * L::CHUNKS * ROWS;
    }
}

struct Place {
    int group, n, x, y, z;              // its warpgroup; its first row
    int depth, height, width, chunks;   // the output's sizes; its channels / 8
    bool add;                           // to what the output holds
};

template <int SLOT, int TILES>
__device__ __forceinline__ void finish_plane(float (&acc)[TILES][48], float (&sum)[8], float (&square)[8], uint4* out,
                                             const Place& at, int z, bool wanted) {
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float v[8];
#pragma unroll
            for (int c = 0; c < 8; ++c) {
                v[c] = acc[t][SLOT * 16 + c / 2 * 4 + i * 2 + c % 2];
                acc[t][SLOT * 16 + c / 2 * 4 + i * 2 + c % 2] = 0.f;
            }
            const int x = at.x + 8 * t, y = at.y + i;
            if (wanted && x < at.width && y < at.height) {
                const long long p = (((long long)at.n * at.depth + z) * at.height + y) * at.width + x;
                if (at.add) {
                    const uint4 old = out[p * at.chunks];
                    float more[8];
                    unpack(old.x, more[0], more[1]);
                    unpack(old.y, more[2], more[3]);
                    unpack(old.z, more[4], more[5]);
                    unpack(old.w, more[6], more[7]);
#pragma unroll
                    for (int c = 0; c < 8; ++c) v[c] += more[c];
                }
                out[p * at.chunks] =
                    make_uint4(pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
#pragma unroll
                for (int c = 0; c < 8; ++c) {
                    sum[c] += v[c];
                    square[c] += v[c] * v[c];
                }
            }
        }
    }
}

template <int CIN>
__device__ __forceinline__ void one_step(float (&acc)[Walk<CIN>::TILES][48], float (&sum)[8], float (&square)[8],
                                         uint4* out, const Place& at, int step, int planes, u32 planes_at,
                                         u64 a_form, u64 b) {
    typedef Walk<CIN> L;
    const int group = at.group, slot = step % L::PLANES, phase = step % 3;
    const u64 a = a_form + ((planes_at + slot * L::PLANE + group * L::TILES * 128) >> 4);
    wait_at(FULL + slot, EVERYBODY);
    wait_at(TURN + group, CONSUMERS);
    settle(acc);
    products_begin();
    one_plane<CIN>(acc, a, b, phase);
    products_end();
    if (group == 0 || step + 1 < planes) arrive_at(TURN + 1 - group, CONSUMERS);
    products_done();
    settle(acc);
    if (step + L::PLANES < planes) arrive_at(EMPTY + slot, EVERYBODY);
    const int z = at.z + step - 2;
    if (phase == 0) finish_plane<1, L::TILES>(acc, sum, square, out, at, z, step >= 2);
    if (phase == 1) finish_plane<2, L::TILES>(acc, sum, square, out, at, z, step >= 2);
    if (phase == 2) finish_plane<0, L::TILES>(acc, sum, square, out, at, z, step >= 2);
}

template <int CIN>
__device__ __forceinline__ void consume(const char* memory, uint4* out, float* partial, const Place& at, int planes) {
    typedef Walk<CIN> L;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 base = shared_address(memory);
    const u64 a = blocks_at(L::STRIDE, L::ACROSS * 16);
    const u64 b = blocks_at(ROWS * 16, 128) + (base >> 4);
    float acc[L::TILES][48], sum[8], square[8];
#pragma unroll
    for (int c = 0; c < L::TILES * 48; ++c) acc[c / 48][c % 48] = 0.f;
#pragma unroll
    for (int c = 0; c < 8; ++c) sum[c] = square[c] = 0.f;
    if (at.group == 1) arrive_at(TURN, CONSUMERS);
    const u32 first = base + L::WEIGHTS;
    for (int step = 0; step < planes; ++step)
        one_step<CIN>(acc, sum, square, out, at, step, planes, first, a, b);
    wait_at(SUMS, CONSUMERS);   // nobody reads planes any more
    float* shared = (float*)(memory + L::WEIGHTS);
#pragma unroll
    for (int c = 0; c < 8; ++c) {
        sum[c] = over_rows(sum[c]);
        square[c] = over_rows(square[c]);
        if (lane < 4) {
            shared[warp * 64 + (lane * 8 + c) * 2] = sum[c];
            shared[warp * 64 + (lane * 8 + c) * 2 + 1] = square[c];
        }
    }
    wait_at(SUMS, CONSUMERS);
    if (threadIdx.x < 64) {
        float total = 0.f;
        for (int w = 0; w < 8; ++w) total += shared[w * 64 + threadIdx.x];
        const int parts = gridDim.x * gridDim.y, part = blockIdx.y * gridDim.x + blockIdx.x;
        partial[(long long)(blockIdx.z * 64 + threadIdx.x) * parts + part] = total;
    }
}

template <int CIN, bool TWO>
__device__ __forceinline__ void produce(char* memory, const Source one, const Source two, int n, int x0, int y0,
                                        int z0, int planes, int depth, int height, int width, float slope) {
    typedef Walk<CIN> L;
    const int EACH = PRODUCERS / L::CHUNKS, LOADS = (L::POSITIONS + EACH - 1) / EACH;
    const int CHANNELS = TWO ? CIN / 2 : CIN;
    const int thread = threadIdx.x - CONSUMERS, chunk = thread % L::CHUNKS, own = chunk % (CHANNELS / 8);
    const Source from = TWO && chunk >= L::CHUNKS / 2 ? two : one;
    float scale[8], shift[8];
    if (from.norm) eight(from.norm + n * CHANNELS, own * 8, scale, shift);
    int offset[LOADS];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) {
        const int p = thread / L::CHUNKS + k * EACH, x = x0 + p % L::ACROSS - 1, y = y0 + p / L::ACROSS - 1;
        const bool inside = p < L::POSITIONS && x >= 0 && x < width && y >= 0 && y < height;
        offset[k] = inside ? (y * width + x) * (CHANNELS / 8) + own : -1;
    }
    char* to = memory + L::WEIGHTS + chunk * L::STRIDE + thread / L::CHUNKS * 16;
    for (int step = 0; step < planes; ++step) {
        const int z = z0 + step - 1, slot = step % L::PLANES;
        const bool there = z >= 0 && z < depth;
        const uint4* plane = from.values + ((long long)n * depth + z) * height * width * (CHANNELS / 8);
        uint4 got[LOADS];
#pragma unroll
        for (int k = 0; k < LOADS; ++k)
            got[k] = there && offset[k] >= 0 ? __ldg(plane + offset[k]) : make_uint4(0, 0, 0, 0);
        if (step >= L::PLANES) wait_at(EMPTY + slot, EVERYBODY);
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            if (from.norm && there && offset[k] >= 0) got[k] = normed(got[k], scale, shift, slope);
            if (thread / L::CHUNKS + k * EACH < L::POSITIONS)
                *(uint4*)(to + slot * L::PLANE + k * EACH * 16) = got[k];
        }
        show_async();
        arrive_at(FULL + slot, EVERYBODY);
    }
}

// Grid: (tiles of x * tiles of y, runs along z, n * blocks of 32 output channels); 384 threads.
template <int CIN, bool TWO>
__device__ __forceinline__ void walk(const Source one, const Source two, const uint4* weights, uint4* out,
                                     float* partial, int depth, int height, int width, int length, int blocks,
                                     int add, float slope) {
    typedef Walk<CIN> L;
    extern __shared__ __align__(1024) char memory[];
    const int n = blockIdx.z / blocks, block = blockIdx.z % blocks, tiles = (width + L::WIDE - 1) / L::WIDE;
    const int x0 = blockIdx.x % tiles * L::WIDE, y0 = blockIdx.x / tiles * TALL, z0 = blockIdx.y * length;
    const int planes = min(length, depth - z0) + 2;
    for (int c = threadIdx.x; c < L::WEIGHTS / 16; c += EVERYBODY)
        ((uint4*)memory)[c] = __ldg(weights + (long long)block * (L::WEIGHTS / 16) + c);
    show_async();
    __syncthreads();
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);   // the compiler sees one value a warp
    if (group < 2) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const int x = x0 + group * 8 * L::TILES + lane / 4, y = y0 + warp % 4 * 2;
        const Place at = {group, n, x, y, z0, depth, height, width, blocks * 4, add != 0};
        consume<CIN>(memory, out + block * 4 + lane % 4, partial, at, planes);
    } else {
        produce<CIN, TWO>(memory, one, two, n, x0, y0, z0, planes, depth, height, width, slope);
    }
}

#define WALK(NAME, CIN, TWO)                                                                                       \
    extern "C" __global__ void __launch_bounds__(384, 1)                                                           \
        NAME(const uint4* one, const float2* one_norm, const uint4* two, const float2* two_norm,                   \
             const uint4* weights, uint4* out, float* partial, int depth, int height, int width, int length,       \
             int blocks, int add, float slope) {                                                                   \
        const Source a = {one, one_norm}, b = {two, two_norm};                                                     \
        walk<CIN, TWO>(a, b, weights, out, partial, depth, height, width, length, blocks, add, slope);             \
    }
WALK(conv_32, 32, false)
WALK(conv_64, 64, false)
WALK(conv_32_32, 64, true)
