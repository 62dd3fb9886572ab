// The network after the filter, whole, for a batch of ECG streams: one kernel, `net`, at the end.
//
// A graph runs most of its 135 operations as launches of their own and sends every intermediate
// value through the GPU's memory. Here a block takes some streams, `frames` frames of each, and
// keeps everything between signal and probabilities in shared memory; beside them it reads and
// writes only what the streams carry from chunk to chunk, and reads the weights.
//
// NVRTC compiles it without any header. `cupy_net.source` puts these definitions above this text:
//
//     CARRY            floats that a stream carries: of every layer [channel][history], oldest first
//     WIDTH            channels of the residual stream
//     FRAME            samples of one frame
//     PIECES, PIECE    where each piece of the weights begins, and the size of the largest, floats
//     BLOCKS           of each residual block, its channels, dilation, and place in the carry
//     WARPS, COLUMNS_EACH    how a block of threads shares out the work
//     FRONT, RESIDUAL, HEAD  the layers, as calls of the functions below
//
// A column is one moment of one stream: there are rows * frames of them, COLUMNS at most. Each warp
// computes an equal share of the output channels, each of its lanes COLUMNS_EACH columns of them in
// registers: a weight that is read serves all the warp's columns, a value all its channels. A
// lane's columns lie a warp apart, so that lanes read neighbouring values.
//
// The front's layers, which shorten the signal, write to two buffers in turn, `low` and `high`, the
// last to `low`. After that `low` holds the residual stream, [WIDTH][COLUMNS], and behind it lie
// the three moments that a residual block's middle convolution sees, [3 * channels][COLUMNS].
//
// The residual blocks are a loop over the same code: unrolled, it is too much for the instruction
// cache, and waiting for instructions takes a third of the time.
//
// Weights come in pieces, in the order of their use, to two buffers in turn: while one is worked
// with, the next is on its way. Every piece begins with a barrier (`Weights::next`), which is also
// what makes one layer's output the next one's input.
//
// Every sum runs over the same products in the same order wherever in a chunk, block or batch a
// frame lies: however a recording is cut, the answer has the same bits.

#define LANES 32
#define THREADS (WARPS * LANES)
#define COLUMNS (LANES * COLUMNS_EACH)

__constant__ int PIECE_STARTS[] = {PIECES};
#define PIECE_COUNT (static_cast<int>(sizeof(PIECE_STARTS) / sizeof(int)) - 1)

struct Residual {
    int channels, dilation, carry_at;
};
__constant__ Residual RESIDUALS[] = {BLOCKS};
#define RESIDUAL_COUNT static_cast<int>(sizeof(RESIDUALS) / sizeof(Residual))

struct Weights {
    const float *all;
    float *buffers;  // two, of PIECE floats
    int piece;

    __device__ __forceinline__ void fetch() const {
        if (piece >= PIECE_COUNT) return;
        float *to = buffers + piece % 2 * PIECE;
        const int start = PIECE_STARTS[piece], count = PIECE_STARTS[piece + 1] - start;
        for (int i = 4 * threadIdx.x; i < count; i += 4 * THREADS) {
            copy_16_bytes(to + i, all + start + i);
        }
    }

    // The next piece, once it is here and every thread has done all that comes before it.
    __device__ __forceinline__ const float *next() {
        wait_for_copies();
        __syncthreads();
        const float *here = buffers + piece % 2 * PIECE;
        ++piece;
        fetch();
        return here;
    }
};

struct Block {
    float *low, *high;
    const float *carry;  // of the block's first stream
    float *carry_out;
    int rows, frames;
    Weights weights;
};

// NaN stays NaN, as ONNX Runtime has it; fmaxf would make it 0.
__device__ __forceinline__ float relu(float value) { return value < 0.0f ? 0.0f : value; }

template <int COUNT>
__device__ __forceinline__ void load(const float *from, float *to) {
    if (COUNT % 4 == 0) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
            const float4 four = *reinterpret_cast<const float4 *>(from + i);
            to[i] = four.x;
            to[i + 1] = four.y;
            to[i + 2] = four.z;
            to[i + 3] = four.w;
        }
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) to[i] = from[i];
    }
}

// A layer's history, read once: each value goes to place(row, channel, i, value), i = 0 the oldest,
// and, unless `length` newer ones push it out, to the history after this chunk.
template <int CHANNELS, class Place>
__device__ __forceinline__ void take_history(const Block &block, int carry_at, int history,
                                             int length, Place place) {
    constexpr int AT_ONCE = 4;  // in flight: else every value would wait for the one before
    const int count = block.rows * CHANNELS * history;
    // cell / history by a multiplication: exact where cell * history is below 2^32.
    const unsigned inverse = 0xffffffffu / history + 1;
    for (int start = threadIdx.x; start < count; start += AT_ONCE * THREADS) {
        float values[AT_ONCE];
        long long places[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; ++j) {
            const int cell = start + j * THREADS;
            const int line = static_cast<int>(history == 1 ? cell : __umulhi(cell, inverse));
            places[j] = static_cast<long long>(line / CHANNELS) * CARRY + carry_at +
                        line % CHANNELS * history + cell - line * history;
            if (cell < count) values[j] = __ldg(block.carry + places[j]);
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; ++j) {
            const int cell = start + j * THREADS;
            const int line = static_cast<int>(history == 1 ? cell : __umulhi(cell, inverse));
            const int i = cell - line * history;
            if (cell < count) {
                place(line / CHANNELS, line % CHANNELS, i, values[j]);
                if (i >= length) block.carry_out[places[j] - length] = values[j];
            }
        }
    }
}

// The end of what a chunk adds to a layer's input becomes that layer's history.
__device__ __forceinline__ void keep(const Block &block, int carry_at, int history, int length,
                                     int row, int channel, int i, float value) {
    const int late = i - (length - history);
    if (late >= 0) {
        block.carry_out[static_cast<long long>(row) * CARRY + carry_at + channel * history + late] =
            value;
    }
}

// A thread's share of a convolution. The input is [CHANNELS][rows][line], channels `stride` floats
// apart; column k is the moment k % length of row k / length, and sees TAPS values from STEP times
// that moment on. Weights are [OUT] biases, then [CHANNELS][TAPS][OUT], PARTS pieces of them with
// as many channels each. There may be SHARES times COLUMNS columns.
template <int CHANNELS, int OUT, int TAPS, int STEP, int PARTS, int SHARES>
struct Convolution {
    static constexpr int EACH = OUT % WARPS ? OUT : OUT / WARPS;
    static constexpr int MANY = SHARES * COLUMNS_EACH;
    float sums[MANY][EACH];

    __device__ __forceinline__ static int first() { return threadIdx.x / LANES * EACH; }
    __device__ __forceinline__ static bool busy() { return first() < OUT; }
    __device__ __forceinline__ static int column(int n) { return threadIdx.x % LANES + n * LANES; }

    // `arrive` is called once every thread is done with the layer before; what it writes can be
    // read after the layer's end.
    template <class Arrive>
    __device__ __forceinline__ void compute(Block &block, const float *in, int stride, int line,
                                            int length, int columns, Arrive arrive) {
        int here[MANY];
#pragma unroll
        for (int n = 0; n < MANY; ++n) {
            // A column that does not exist repeats one that does; it is not written.
            const int existing = min(column(n), columns - 1);
            const int row = existing / length;
            here[n] = row * line + (existing - row * length) * STEP;
        }
        float some[EACH];
#pragma unroll 1
        for (int part = 0; part < PARTS; ++part) {
            const float *weights = block.weights.next() + first();
            if (part == 0) {
                arrive();
                if (busy()) load<EACH>(weights, some);
                weights += OUT;
#pragma unroll
                for (int n = 0; n < MANY; ++n) {
#pragma unroll
                    for (int m = 0; m < EACH; ++m) sums[n][m] = some[m];
                }
            }
            if (!busy()) continue;
            // As much in flight as registers allow: four channels of one tap, or one of many.
#pragma unroll(TAPS == 1 ? 4 : 1)
            for (int channel = 0; channel < CHANNELS / PARTS; ++channel) {
#pragma unroll
                for (int tap = 0; tap < TAPS; ++tap) {
                    load<EACH>(weights, some);
                    weights += OUT;
#pragma unroll
                    for (int n = 0; n < MANY; ++n) {
                        const float value = in[here[n] + tap];
#pragma unroll
                        for (int m = 0; m < EACH; ++m) sums[n][m] += some[m] * value;
                    }
                }
                in += stride;
            }
        }
    }

    template <class Emit>
    __device__ __forceinline__ void emit(int columns, Emit to) const {
        if (!busy()) return;
#pragma unroll
        for (int n = 0; n < MANY; ++n) {
            if (column(n) < columns) {
#pragma unroll
                for (int m = 0; m < EACH; ++m) to(first() + m, column(n), sums[n][m]);
            }
        }
    }
};

// Filtered signal into the line of the first layer, history before it.
template <int HISTORY>
__device__ __forceinline__ void input(const Block &block, const float *filtered, int samples,
                                      float *line) {
    const int length = block.frames * FRAME;
    take_history<1>(block, 0, HISTORY, length, [&](int row, int, int i, float value) {
        line[row * (HISTORY + length) + i] = value;
    });
    for (int row = 0; row < block.rows; ++row) {
#pragma unroll 4
        for (int i = threadIdx.x; i < length; i += THREADS) {
            const float value = __ldg(filtered + static_cast<long long>(row) * samples + i);
            line[row * (HISTORY + length) + HISTORY + i] = value;
            keep(block, 0, HISTORY, length, row, 0, i, value);
        }
    }
}

// A layer of the front, from its line into the next layer's, or into the residual stream where
// NEXT, the next layer's history, is 0. PER_FRAME: values of its input in a frame.
template <int CHANNELS, int OUT, int TAPS, int STEP, int PARTS, int PER_FRAME, int HISTORY,
          int NEXT>
__device__ __forceinline__ void front(Block &block, const float *in, float *out, int next_carry) {
    const int line = HISTORY + PER_FRAME * block.frames;
    const int length = PER_FRAME / STEP * block.frames;
    const int columns = block.rows * length;
    Convolution<CHANNELS, OUT, TAPS, STEP, PARTS, PER_FRAME / STEP> convolution;
    convolution.compute(block, in, block.rows * line, line, length, columns, [&] {
        if (NEXT) {
            take_history<OUT>(
                block, next_carry, NEXT, length, [&](int row, int channel, int i, float value) {
                    out[(channel * block.rows + row) * (NEXT + length) + i] = value;
                });
        }
    });
    convolution.emit(columns, [&](int channel, int column, float sum) {
        const float value = relu(sum);
        if (NEXT) {
            const int row = column / length, i = column - row * length;
            out[(channel * block.rows + row) * (NEXT + length) + NEXT + i] = value;
            keep(block, next_carry, NEXT, length, row, channel, i, value);
        } else {
            out[channel * COLUMNS + column] = value;
        }
    });
}

// Down to CHANNELS, three moments `dilation` frames apart, up again and added, in so many pieces of
// weights each. The moments lie behind the residual stream: oldest, middle and present.
template <int CHANNELS, int DOWN_PARTS, int MIDDLE_PARTS, int UP_PARTS>
__device__ __forceinline__ void residual(Block &block, int dilation, int carry_at) {
    const int history = 2 * dilation;
    const int frames = block.frames, columns = block.rows * frames;
    float *stream = block.low;
    float *moments = stream + WIDTH * COLUMNS;
    const auto nothing = [] {};

    Convolution<WIDTH, CHANNELS, 1, 1, DOWN_PARTS, 1> down;
    down.compute(block, stream, COLUMNS, 0, columns, columns, [&] {
        take_history<CHANNELS>(
            block, carry_at, history, frames, [&](int row, int channel, int i, float value) {
                float *cell = moments + channel * COLUMNS + row * frames + i;
                if (i < frames) *cell = value;
                if (i >= dilation && i - dilation < frames) {
                    cell[CHANNELS * COLUMNS - dilation] = value;
                }
            });
    });
    down.emit(columns, [&](int channel, int column, float sum) {
        const float value = relu(sum);
        const int row = column / frames, i = column - row * frames;
        float *cell = moments + channel * COLUMNS + column;
        cell[2 * CHANNELS * COLUMNS] = value;
        if (i + dilation < frames) cell[CHANNELS * COLUMNS + dilation] = value;
        if (i + history < frames) cell[history] = value;
        keep(block, carry_at, history, frames, row, channel, i, value);
    });

    Convolution<3 * CHANNELS, CHANNELS, 1, 1, MIDDLE_PARTS, 1> middle;
    middle.compute(block, moments, COLUMNS, 0, columns, columns, nothing);
    __syncthreads();  // its output takes the place of the oldest moments
    middle.emit(columns, [&](int channel, int column, float sum) {
        moments[channel * COLUMNS + column] = relu(sum);
    });

    Convolution<CHANNELS, WIDTH, 1, 1, UP_PARTS, 1> up;
    up.compute(block, moments, COLUMNS, 0, columns, columns, nothing);
    up.emit(columns, [&](int channel, int column, float sum) {
        float *cell = stream + channel * COLUMNS + column;
        *cell = relu(sum + *cell);
    });
}

// Logits, and their softmax to probabilities [rows][all_frames][CLASSES].
template <int CLASSES, int PARTS>
__device__ __forceinline__ void head(Block &block, float *probabilities, int all_frames) {
    const int columns = block.rows * block.frames;
    float *logits = block.low + WIDTH * COLUMNS;
    Convolution<WIDTH, CLASSES, 1, 1, PARTS, 1> convolution;
    convolution.compute(block, block.low, COLUMNS, 0, columns, columns, [] {});
    convolution.emit(columns, [&](int channel, int column, float sum) {
        logits[channel * COLUMNS + column] = sum;
    });
    __syncthreads();
    for (int column = threadIdx.x; column < columns; column += THREADS) {
        float values[CLASSES], most = logits[column], sum = 0.0f;
#pragma unroll
        for (int k = 1; k < CLASSES; ++k) most = fmaxf(most, logits[k * COLUMNS + column]);
#pragma unroll
        for (int k = 0; k < CLASSES; ++k) {
            values[k] = expf(logits[k * COLUMNS + column] - most);
            sum += values[k];
        }
        const int row = column / block.frames;
        float *to = probabilities +
                    (static_cast<long long>(row) * all_frames + column - row * block.frames) *
                        CLASSES;
#pragma unroll
        for (int k = 0; k < CLASSES; ++k) to[k] = values[k] / sum;
    }
}

// filtered: [batch, all_frames * FRAME]; carry, carry_out: [batch, CARRY]; probabilities:
// [batch, all_frames, classes]; all row-major and apart from each other. This launch does `frames`
// frames from `first_frame` on; carry is that of their beginning. Shared memory: two pieces of
// weights, then `low`, then, `high_at` floats after it, `high`.
extern "C" __global__ void __launch_bounds__(THREADS)
net(const float *filtered, const float *carry, const float *weights, float *probabilities,
    float *carry_out, int batch, int all_frames, int first_frame, int frames, int rows_per_block,
    int high_at) {
    extern __shared__ float4 shared[];
    const long long first_row = static_cast<long long>(blockIdx.x) * rows_per_block;
    Block block;
    block.weights.all = weights;
    block.weights.buffers = reinterpret_cast<float *>(shared);
    block.weights.piece = 0;
    block.weights.fetch();
    block.low = block.weights.buffers + 2 * PIECE;
    block.high = block.low + high_at;
    block.carry = carry + first_row * CARRY;
    block.carry_out = carry_out + first_row * CARRY;
    block.rows = static_cast<int>(min(batch - first_row, static_cast<long long>(rows_per_block)));
    block.frames = frames;
    filtered += (first_row * all_frames + first_frame) * FRAME;
    const int samples = all_frames * FRAME;
    FRONT
#pragma unroll 1
    for (int i = 0; i < RESIDUAL_COUNT; ++i) {
        const int dilation = RESIDUALS[i].dilation, carry_at = RESIDUALS[i].carry_at;
        switch (RESIDUALS[i].channels) { RESIDUAL }
    }
    HEAD
}
