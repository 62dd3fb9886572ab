// Runs a CUDA kernel on the CPU, so that its arithmetic and indexing are tested on every machine.
//
// Include this, then a .cu file, then write CUDA_SHIM_EXPORT(kernel): the library then has
// `int launch_kernel(grid, block, shared_bytes, backwards, arguments)`, the arguments as pointers
// to each value, as the CUDA driver takes them. It answers 0 or one of the faults below.
//
// Blocks run one after another; the threads of a block are fibres that hand over at
// __syncthreads, so barriers are real. Between two barriers the threads run in order, or in
// reverse order with `backwards`: an answer that depends on it lacks a barrier. Shared memory
// starts each block as NaN, and what lies past the block's share must still be NaN at its end.
//
// In place of kernels/copies.cuh there are copies here that come as late as they may: when their
// thread waits for them, so that what is read before is NaN.

#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __constant__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
using std::min;
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<uint64_t>(a) * b >> 32; }
template <class T>
inline T __ldg(const T *from) {
    return *from;
}

struct Index {
    unsigned x;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();

namespace cuda_shim {

enum Fault { NONE = 0, UNEQUAL_BARRIERS = 1, SHARED_OVERRUN = 2, TOO_LARGE = 3, NOT_AWAITED = 4 };

constexpr unsigned MAX_BLOCK = 1024;
constexpr unsigned MAX_SHARED = 227 * 1024;  // Hopper's; more than 48 KiB has to be asked for
constexpr unsigned GUARD = 4 * 1024;
constexpr size_t STACK = 64 * 1024;
constexpr uint32_t POISON = 0x7fc0dead;  // a NaN that no arithmetic makes

struct Fibre {
    ucontext_t context;
    bool finished;
    char stack[STACK];
};

struct Copy {
    float *to;
    const float *from;
    int count;
};
static std::vector<Copy> queued[MAX_BLOCK];  // of each thread

static std::unique_ptr<Fibre[]> fibres;
static unsigned fibre_count = 0;
static ucontext_t scheduler;
static std::function<void()> body;

static void fibre_main() {
    body();
    fibres[threadIdx.x].finished = true;
}

static void start_block(unsigned block) {
    for (auto &copies : queued) copies.clear();
    if (fibre_count < block) {
        fibres.reset(new Fibre[block]);
        fibre_count = block;
    }
    for (unsigned thread = 0; thread < block; ++thread) {
        Fibre &fibre = fibres[thread];
        fibre.finished = false;
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack;
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = &scheduler;
        makecontext(&fibre.context, fibre_main, 0);
    }
}

// Lets every thread run to its next barrier or its end; true while the block goes on.
static bool run_to_barrier(unsigned block, bool backwards, Fault *fault) {
    unsigned finished = 0;
    for (unsigned i = 0; i < block; ++i) {
        threadIdx.x = backwards ? block - 1 - i : i;
        swapcontext(&scheduler, &fibres[threadIdx.x].context);
        finished += fibres[threadIdx.x].finished;
    }
    if (finished != 0 && finished != block) *fault = UNEQUAL_BARRIERS;
    return finished == 0;
}

}  // namespace cuda_shim

inline void __syncthreads() {
    const unsigned self = threadIdx.x;
    swapcontext(&cuda_shim::fibres[self].context, &cuda_shim::scheduler);
}

inline void copy_4_bytes(float *to, const float *from) {
    cuda_shim::queued[threadIdx.x].push_back({to, from, 1});
}
inline void copy_16_bytes(float *to, const float *from) {
    cuda_shim::queued[threadIdx.x].push_back({to, from, 4});
}
inline void wait_for_copies() {
    for (const cuda_shim::Copy &copy : cuda_shim::queued[threadIdx.x]) {
        std::copy(copy.from, copy.from + copy.count, copy.to);
    }
    cuda_shim::queued[threadIdx.x].clear();
}

// The kernels name their dynamic shared memory `shared`.
alignas(16) float4 shared[(cuda_shim::MAX_SHARED + cuda_shim::GUARD) / sizeof(float4)];

namespace cuda_shim {

template <class... Parameters, size_t... I>
int launch(void (*kernel)(Parameters...), std::index_sequence<I...>, unsigned grid, unsigned block,
           unsigned shared_bytes, bool backwards, void **arguments) {
    if (block > MAX_BLOCK || shared_bytes > MAX_SHARED) return TOO_LARGE;
    uint32_t *words = reinterpret_cast<uint32_t *>(shared);
    uint32_t *share_end = words + shared_bytes / 4;
    uint32_t *end = words + sizeof(shared) / 4;
    body = [&] { kernel(*static_cast<Parameters *>(arguments[I])...); };
    blockDim.x = block;
    gridDim.x = grid;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x) {
        Fault fault = NONE;
        std::fill(words, end, POISON);
        start_block(block);
        while (run_to_barrier(block, backwards, &fault)) {
        }
        if (fault) return fault;
        for (const auto &copies : queued) {
            if (!copies.empty()) return NOT_AWAITED;
        }
        if (std::any_of(share_end, end, [](uint32_t word) { return word != POISON; })) {
            return SHARED_OVERRUN;
        }
    }
    return NONE;
}

template <class... Parameters>
int launch_any(void (*kernel)(Parameters...), unsigned grid, unsigned block, unsigned shared_bytes,
               int backwards, void **arguments) {
    return launch(kernel, std::index_sequence_for<Parameters...>{}, grid, block, shared_bytes,
                  backwards != 0, arguments);
}

}  // namespace cuda_shim

#define CUDA_SHIM_EXPORT(kernel)                                                               \
    extern "C" int launch_##kernel(unsigned grid, unsigned block, unsigned shared_bytes,       \
                                   int backwards, void **arguments) {                          \
        return cuda_shim::launch_any(kernel, grid, block, shared_bytes, backwards, arguments); \
    }
