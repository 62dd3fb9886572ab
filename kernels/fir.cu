// A streaming FIR filter over a batch of ECG streams: one kernel, `fir`, at the end of this file.
//
// With z = carry followed by ecg, and n = 0 at the first sample of ecg:
//
//     filtered[b, n] = sum over k < TAP_COUNT of TAPS[k] * z[b, n - k]
//     carry_out[b]   = the last TAP_COUNT - 1 samples of z[b]
//
// NVRTC compiles it without any header. `cupy_fir.source` puts two definitions above this text:
// TAP_COUNT, and TAP_VALUES, the taps separated by commas. Taps are compiled in, not uploaded,
// because CuPy keeps one module per source text: two filters could otherwise overwrite each
// other's constant memory, and every device would need its own upload.
//
// A block filters `rows` streams over `span = threads_per_row * OUTPUTS` samples each. Its tile in
// shared memory holds, per stream, the HALO samples before the span and the span itself; every
// thread then computes OUTPUTS neighbouring outputs in registers from a sliding window, so that
// each sample read from shared memory serves OUTPUTS multiplications.
//
// Every output is one sum over k = 0, 1, 2, ... in float32, wherever in a chunk, tile or block it
// lies. The result therefore has the same bits however a recording is cut.

#define CARRY (TAP_COUNT - 1)

// 12 outputs are three 16-byte reads, and 12 * 4 bytes between neighbouring threads place the
// eight threads of one shared-memory phase on all 32 banks. A halo that is a multiple of 32 floats
// keeps that true where the next thread works on the next stream.
#define OUTPUTS 12
#define STEP 4
#define HALO ((TAP_COUNT + 31) / 32 * 32)
#define MAX_THREADS 128

__constant__ float TAPS[TAP_COUNT] = {TAP_VALUES};

// Calls body(row, column) for every cell of a rows x columns table, neighbouring threads on
// neighbouring columns (coalesced), without a division per cell.
template <class Body>
__device__ __forceinline__ void for_each_cell(int rows, int columns, Body body) {
    int row = 0;
    int column = threadIdx.x;
    while (true) {
        while (row < rows && column >= columns) {
            column -= columns;
            ++row;
        }
        if (row >= rows) return;
        body(row, column);
        column += blockDim.x;
    }
}

__device__ __forceinline__ void load4(const float *from, float *to) {
    const float4 four = *reinterpret_cast<const float4 *>(from);
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
}

// Adds taps k .. k + COUNT - 1 to the sums. `window` holds samples here - k - STEP up to
// here - k + OUTPUTS - 1 and moves STEP samples into the past; unrolled, the move costs nothing.
template <int COUNT>
__device__ __forceinline__ void add_taps(const float *here, int k, float *window, float *sums) {
    load4(here - k - STEP, window);
#pragma unroll
    for (int j = 0; j < COUNT; ++j) {
#pragma unroll
        for (int r = 0; r < OUTPUTS; ++r) sums[r] += TAPS[k + j] * window[STEP + r - j];
    }
#pragma unroll
    for (int i = OUTPUTS - 1; i >= 0; --i) window[i + STEP] = window[i];
}

// The OUTPUTS outputs whose first input sample is at `here`. Taps beyond TAP_COUNT are skipped, not
// multiplied by zero, so that a NaN reaches exactly TAP_COUNT outputs.
__device__ __forceinline__ void convolve(const float *here, float *sums) {
    float window[OUTPUTS + STEP];
#pragma unroll
    for (int i = 0; i < OUTPUTS; i += STEP) load4(here + i, window + STEP + i);
#pragma unroll 4
    for (int k = 0; k < TAP_COUNT / STEP * STEP; k += STEP) add_taps<STEP>(here, k, window, sums);
    if (TAP_COUNT % STEP) {
        add_taps<TAP_COUNT % STEP>(here, TAP_COUNT / STEP * STEP, window, sums);
    }
}

// ecg, filtered: [batch, samples]; carry, carry_out: [batch, CARRY]; all row-major and apart from
// each other. Blocks: `tiles` per group of `rows_per_block` streams, tiles of one group together.
// Shared memory: rows_per_block * (HALO + threads_per_row * OUTPUTS) floats.
extern "C" __global__ void __launch_bounds__(MAX_THREADS)
fir(const float *ecg, const float *carry, float *filtered, float *carry_out, int batch, int samples,
    int rows_per_block, int threads_per_row, int tiles) {
    extern __shared__ float4 shared[];
    float *tile = reinterpret_cast<float *>(shared);
    const int span = threads_per_row * OUTPUTS;
    const int width = HALO + span;
    const int start = blockIdx.x % tiles * span;
    const long long first_row = static_cast<long long>(blockIdx.x / tiles) * rows_per_block;
    const int rows = static_cast<int>(min(batch - first_row, static_cast<long long>(rows_per_block)));

    for_each_cell(rows, width, [&](int row, int column) {
        float *cell = tile + row * width + column;
        const long long stream = first_row + row;
        const int n = start - HALO + column;
        if (n >= 0 && n < samples) {
            copy_4_bytes(cell, ecg + stream * samples + n);
        } else if (n < 0 && n >= -CARRY) {
            copy_4_bytes(cell, carry + stream * CARRY + CARRY + n);
        }  // other cells reach no output that is written
    });
    wait_for_copies();
    __syncthreads();

    // The last tile holds the last CARRY samples whatever the length of the chunk: HALO > CARRY.
    if (start + span >= samples) {
        for_each_cell(rows, CARRY, [&](int row, int column) {
            const int cell = HALO + samples - start - CARRY + column;
            carry_out[(first_row + row) * CARRY + column] = tile[row * width + cell];
        });
    }

    const int row = threadIdx.x / threads_per_row;
    float *here = tile + row * width + HALO + threadIdx.x % threads_per_row * OUTPUTS;
    float sums[OUTPUTS] = {};
    if (row < rows) convolve(here, sums);
    __syncthreads();

    // Outputs go through the tile so that neighbouring threads write neighbouring addresses.
    if (row < rows) {
#pragma unroll
        for (int r = 0; r < OUTPUTS; r += 4) {
            *reinterpret_cast<float4 *>(here + r) =
                make_float4(sums[r], sums[r + 1], sums[r + 2], sums[r + 3]);
        }
    }
    __syncthreads();
    for_each_cell(rows, span, [&](int row, int column) {
        const int n = start + column;
        if (n < samples) {
            filtered[(first_row + row) * samples + n] = tile[row * width + HALO + column];
        }
    });
}
