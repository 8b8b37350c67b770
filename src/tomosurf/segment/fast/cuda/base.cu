// Half-precision 3D convolution blocks for Hopper GPUs (compute capability 9.0), channels last.
//
// A tensor is (n, z, y, x, channel) float16. Ahead of an instance norm a conv writes its raw sums and, a block,
// the sums of each channel and of its squares (`partial`); `finish_norm` makes a scale and shift of them; whoever
// reads the tensor next applies those and the leaky ReLU on its way in. No atomics: same in, same out.
//
// Columns of a matrix product are put in the order that gives each thread eight neighbouring channels to store:
// column 8j + 2q + e of 32 is channel 8q + 2j + e.

typedef unsigned int u32;
typedef unsigned long long u64;

__device__ __forceinline__ u32 pack(float low, float high) {
    u32 r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

__device__ __forceinline__ void unpack(u32 both, float& low, float& high) {
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}"
        : "=f"(low), "=f"(high) : "r"(both));
}

__device__ __forceinline__ u32 normed(u32 both, const float* scale, const float* shift, float slope) {
    float a, b;
    unpack(both, a, b);
    a = fmaf(a, scale[0], shift[0]);
    b = fmaf(b, scale[1], shift[1]);
    return pack(fmaxf(a, slope * a), fmaxf(b, slope * b));
}

__device__ __forceinline__ uint4 normed(uint4 x, const float* scale, const float* shift, float slope) {
    return make_uint4(normed(x.x, scale, shift, slope), normed(x.y, scale + 2, shift + 2, slope),
                      normed(x.z, scale + 4, shift + 4, slope), normed(x.w, scale + 6, shift + 6, slope));
}

// Eight channels' scale and shift, starting at channel `first` of a table of (scale, shift).
__device__ __forceinline__ void eight(const float2* table, int first, float* scale, float* shift) {
    for (int c = 0; c < 8; ++c) {
        float2 both = table[first + c];
        scale[c] = both.x;
        shift[c] = both.y;
    }
}

__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void wait_at(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void arrive_at(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void show_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Sums over the eight lanes that share a lane % 4, in a fixed order.
__device__ __forceinline__ float over_rows(float v) {
    v += __shfl_xor_sync(0xffffffffu, v, 4);
    v += __shfl_xor_sync(0xffffffffu, v, 8);
    v += __shfl_xor_sync(0xffffffffu, v, 16);
    return v;
}

// A product of a warp: d += a b, fragments as in mma.m16n8k16 (PTX ISA).
__device__ __forceinline__ void multiply(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
