// Power spectra of overlapping frames of many ECG streams: one kernel, `stft`, at the end.
//
//     power[b, i, f] = PSD_SCALE * sides(f) * |X[f]|^2,    f = 0 .. FFT_SIZE / 2
//     X[f] = sum over n < FFT_SIZE of WINDOW[n] * ecg[b, i * hop + n] * exp(-2 pi j f n / FFT_SIZE)
//
// sides is 1 at 0 Hz and at half the sample rate, 2 between: one-sided power.
//
// NVRTC compiles it without any header. `stft_kernel.source` puts these definitions above it:
// FFT_SIZE (a power of two), PSD_SCALE, WINDOW_VALUES (FFT_SIZE of them) and TWIDDLE_VALUES,
// the pairs {cos, -sin} of 2 pi k / FFT_SIZE for k = 0 .. FFT_SIZE / 2, rounded from float64.
//
// One block computes one frame. The FFT_SIZE real samples are taken as POINTS complex ones (even
// samples real, odd ones imaginary), transformed by a radix-2 Stockham FFT between two buffers in
// shared memory, one butterfly per thread and level, and split into the spectrum of the real frame.
// Stockham's order needs no bit reversal and one barrier per level.

#define POINTS (FFT_SIZE / 2)
#define THREADS (POINTS / 2)

__device__ const float WINDOW[FFT_SIZE] = {WINDOW_VALUES};
__device__ const float2 TWIDDLES[POINTS + 1] = {TWIDDLE_VALUES};

__device__ __forceinline__ float2 times(float2 a, float2 b) {
    return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// One level: butterflies over distance POINTS / 2, `stride` transforms interleaved.
__device__ __forceinline__ void level(const float2 *from, float2 *to, int stride) {
    const int j = threadIdx.x;
    const int within = j % stride;
    const float2 a = from[j];
    const float2 b = from[j + THREADS];
    const float2 twiddle = TWIDDLES[(j - within) * 2];
    to[2 * j - within] = make_float2(a.x + b.x, a.y + b.y);
    to[2 * j - within + stride] = times(make_float2(a.x - b.x, a.y - b.y), twiddle);
}

// |X[f]|^2 of the real frame, from the transform z of its even (real) and odd (imaginary) samples.
__device__ __forceinline__ float real_power(const float2 *z, int f) {
    const float2 a = z[f % POINTS];
    const float2 b = z[(POINTS - f) % POINTS];
    const float2 even = make_float2(0.5f * (a.x + b.x), 0.5f * (a.y - b.y));
    const float2 odd = make_float2(0.5f * (a.y + b.y), 0.5f * (b.x - a.x));
    const float2 turned = times(odd, TWIDDLES[f]);
    const float real = even.x + turned.x;
    const float imaginary = even.y + turned.y;
    return real * real + imaginary * imaginary;
}

// ecg: [batch, samples]; power: [batch, frames, POINTS + 1]; row-major and apart from each other.
// Blocks: batch * frames, of THREADS threads. Shared memory: 2 * POINTS complex numbers.
extern "C" __global__ void __launch_bounds__(THREADS)
stft(const float *ecg, float *power, int samples, int frames, int hop) {
    extern __shared__ float4 shared[];
    float2 *from = reinterpret_cast<float2 *>(shared);
    float2 *to = from + POINTS;
    float *packed = reinterpret_cast<float *>(shared);
    const long long stream = blockIdx.x / frames;
    const int frame = blockIdx.x % frames;
    const float *samples_of_frame = ecg + stream * samples + static_cast<long long>(frame) * hop;

#pragma unroll
    for (int n = threadIdx.x; n < FFT_SIZE; n += THREADS) {
        packed[n] = WINDOW[n] * samples_of_frame[n];
    }
    __syncthreads();

#pragma unroll
    for (int stride = 1; stride < POINTS; stride *= 2) {
        level(from, to, stride);
        __syncthreads();
        float2 *finished = to;
        to = from;
        from = finished;
    }

    float *bins = power + static_cast<long long>(blockIdx.x) * (POINTS + 1);
    for (int f = threadIdx.x; f <= POINTS; f += THREADS) {
        const float sides = f == 0 || f == POINTS ? 1.0f : 2.0f;
        bins[f] = PSD_SCALE * sides * real_power(from, f);
    }
}
