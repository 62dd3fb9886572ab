/* Features of five seconds of signal, compiled: optional, and checked by tests against the arrays of
 * `features.py`, which do the same where this is not built. Of one second of a live stream numpy's
 * calls take longer than all their arithmetic. No memory is kept.
 */
#include "loops.h"

#include "judge.h"
#include <stdint.h>

enum { SECONDS = 5, SIZE = RATE * SECONDS, LAGS = 60, LONGEST_HALF = 120, BASELINE = 45 };
enum { HALF = SIZE / 2, FIRST_BIN = 4, BINS = 106, BANDS = 12, FEATURES = 45, TOP = SIZE / 10 };
/* The first of each band's bins, of 0.2 Hz each. */
static const int EDGES[BANDS + 1] = {0, 2, 5, 8, 11, 15, 19, 24, 31, 41, 56, 76, BINS};
static const float FREQUENCY = (float)RATE / SIZE;
/* Of even and of odd bins, for each sample up to a quarter. */
enum { QUARTER = HALF / 2, LANES = 64 };
static float cosines[2][QUARTER + 1][LANES], sines[2][QUARTER + 1][LANES], taper[SIZE];

enum { MAX_UNITS = 256, ROWS = 4 };

static float root_mean_square_about_mean(const float *y, int size) {
    double sum = 0, square = 0;
    SUM(sum) for (int i = 0; i < size; i++) sum += y[i];
    float mean = (float)(sum / size);
    SUM(square) for (int i = 0; i < size; i++) {
        float off = y[i] - mean;
        square += (double)off * off;
    }
    return (float)sqrt(square / size);
}

static int crossings(const float *y, int size) {
    int found = 0;
    SUM(found) for (int i = 1; i < size; i++) found += (y[i] < 0) != (y[i - 1] < 0);
    return found;
}

/* How many values, none of them negative, are larger than one; all as the bits they are made of. */
WIDE static int larger(const int32_t *bits, int size, int32_t than) {
    int found = 0;
    for (int i = 0; i < size; i++) found += bits[i] > than;
    return found;
}

/* A few values, ascending: each goes to the place of its rank. */
WIDE static void sorted(const float *values, int size, float *out) {
    for (int i = 0; i < size; i++) {
        int place = 0;
        for (int k = 0; k < i; k++) place += values[k] <= values[i];
        for (int k = i + 1; k < size; k++) place += values[k] < values[i];
        out[place] = values[i];
    }
}

/* The largest `count` values of some that are not negative, ascending. Of these floats the bits are in
 * order too, so a number that exactly so many reach is found bit by bit; of equal ones it is theirs. */
static void largest(const float *values, int size, float *top, int count) {
    int32_t bits[SIZE], least = 0;
    int reach = size, held = 0;
    float found[SIZE], smallest;
    memcpy(bits, values, size * sizeof *bits);
    for (int32_t bit = 1 << 30; bit && reach != count; bit >>= 1) {
        int many = larger(bits, size, (least | bit) - 1);
        if (many < count) continue;
        least |= bit;
        reach = many;
    }
    int32_t below = reach == count ? least - 1 : least;
    for (int i = 0; i < size; i++) { /* without branches, which nobody could predict */
        found[held] = values[i];
        held += bits[i] > below;
    }
    memcpy(&smallest, &least, sizeof smallest);
    for (int i = 0; i < count - held; i++) top[i] = smallest;
    top += count - held;
    sorted(found, held, top);
}

/* Products of folded samples with each lane of a table, added up. */
WIDE static void projected(const float *folded, const float (*table)[LANES], float *found) {
    float sums[LANES] = {0};
    for (int i = 0; i <= QUARTER; i++)
        for (int k = 0; k < LANES; k++) sums[k] += folded[i] * table[i][k];
    memcpy(found, sums, sizeof sums);
}

static void spectrum(const float *y, double *found) {
    /* Folded at half and at a quarter: of cosines and sines of even and of odd bins only the first
     * quarter is left. */
    float even[HALF + 1], odd[HALF + 1], real[2][LANES], imaginary[2][LANES], power[BINS];
    even[0] = y[0] * taper[0];
    even[HALF] = y[HALF] * taper[HALF];
    odd[0] = odd[HALF] = 0;
    for (int i = 1; i < HALF; i++) {
        float one = y[i] * taper[i], other = y[SIZE - i] * taper[SIZE - i];
        even[i] = one + other;
        odd[i] = one - other;
    }
    for (int which = 0; which < 2; which++) {
        float cosine[QUARTER + 1], sine[QUARTER + 1];
        for (int i = 0; i <= QUARTER; i++) {
            float sign = which ? -1.0f : 1.0f, folded = i < QUARTER ? sign : 0.0f;
            cosine[i] = even[i] + folded * even[HALF - i];
            sine[i] = odd[i] - folded * odd[HALF - i];
        }
        projected(cosine, (const float (*)[LANES])cosines[which], real[which]);
        projected(sine, (const float (*)[LANES])sines[which], imaginary[which]);
    }
    double whole = 0, entropy = 0, centroid = 0, spread = 0;
    int peak = 0;
    for (int k = 0; k < BINS; k++) {
        float re = real[k % 2][k / 2], im = imaginary[k % 2][k / 2];
        power[k] = re * re + im * im;
        whole += power[k];
        if (power[k] > power[peak]) peak = k;
    }
    whole = 1 / (whole + 1e-12);
    for (int band = 0; band < BANDS; band++) {
        double sum = 0;
        for (int k = EDGES[band]; k < EDGES[band + 1]; k++) sum += power[k];
        found[band] = log(sum * whole + 1e-4);
    }
    for (int k = 0; k < BINS; k++) {
        double share = power[k] * whole;
        entropy -= share * logf((float)(share + 1e-12));
        centroid += share * (k + FIRST_BIN) * FREQUENCY;
    }
    for (int k = 0; k < BINS; k++) {
        double off = (k + FIRST_BIN) * FREQUENCY - centroid;
        spread += power[k] * whole * off * off;
    }
    found[BANDS] = (peak + FIRST_BIN) * FREQUENCY;
    found[BANDS + 1] = entropy;
    found[BANDS + 2] = centroid;
    found[BANDS + 3] = sqrt(spread);
}

static void each_second(const float *y, const float *height, double *found) {
    double ranked[5][SECONDS];
    for (int second = 0; second < SECONDS; second++) {
        const float *row = y + second * RATE, *tall = height + second * RATE;
        double square = 0, fourth = 0, power = 0;
        float most = 0;
        SUM(square, fourth) for (int i = 1; i < RATE; i++) {
            float step = (row[i] - row[i - 1]) * (row[i] - row[i - 1]);
            square += step;
            fourth += (double)step * step;
        }
        SUM(power) for (int i = 0; i < RATE; i++) power += (double)row[i] * row[i];
        for (int i = 0; i < RATE; i++) most = tall[i] > most ? tall[i] : most;
        int above = 0;
        SUM(above) for (int i = 0; i < RATE; i++) above += tall[i] > 0.2f * most;
        square /= RATE - 1;
        fourth /= RATE - 1;
        double amplitude = sqrt(power / RATE);
        double of_second[5] = {(double)above / RATE, log((sqrt(square) + 1e-3) / (amplitude + 1e-3)),
                               crossings(row, RATE), log(fourth / (square * square + 1e-12) + 1e-6),
                               log(amplitude + 1e-3)};
        for (int what = 0; what < 5; what++) {
            int at = second;
            for (; at > 0 && ranked[what][at - 1] > of_second[what]; at--)
                ranked[what][at] = ranked[what][at - 1];
            ranked[what][at] = of_second[what];
        }
    }
    for (int what = 0; what < 5; what++)
        for (int which = 0; which < 3; which++)
            found[3 * what + which] = ranked[what][which * (SECONDS / 2)];
}

/* Products with itself at each lag: as many at a time as fit registers. */
enum { TOGETHER = 32, ALL_LAGS = (LAGS + TOGETHER - 1) / TOGETHER * TOGETHER };
WIDE static void repeated(const float *z, float *product) {
    for (int block = 0; block < ALL_LAGS; block += TOGETHER) {
        float sums[TOGETHER] = {0};
        for (int i = 0; i < SIZE; i++)
            for (int k = 0; k < TOGETHER; k++) sums[k] += z[i] * z[i + block + k];
        memcpy(product + block, sums, sizeof sums);
    }
}

/* `features.measure` of one window: mV at 60 Hz, [300]. */
static void measure_one(const double *piece, double *found, float *again) {
    float y[SIZE], z[SIZE + ALL_LAGS], slope[SIZE - 1], height[SIZE], steps[SIZE - 1], top[TOP], few[7];
    double total[SIZE + BASELINE], sum = 0;
    const int first = BASELINE / 2 + 1;
    for (int i = 0; i < SIZE + BASELINE; i++) {
        sum += piece[i < first ? 0 : i - first < SIZE ? i - first : SIZE - 1];
        total[i] = sum;
    }
    for (int i = 0; i < SIZE; i++)
        y[i] = (float)(piece[i] - (total[i + BASELINE] - total[i]) / BASELINE);
    for (int i = 0; i < SIZE; i++) height[i] = fabsf(y[i]);
    for (int i = 0; i < SIZE - 1; i++) slope[i] = y[i + 1] - y[i];
    for (int i = 0; i < SIZE - 1; i++) steps[i] = fabsf(slope[i]);
    float deviation = root_mean_square_about_mean(y, SIZE) + 1e-6f;
    float spread = root_mean_square_about_mean(slope, SIZE - 1) + 1e-6f;
    largest(height, SIZE, top, TOP);
    largest(steps, SIZE - 1, few, 7);

    double third = 0, fourth = 0, steep = 0, heights = 0, lengths = 0, tops = 0;
    int near = 0, level = 0;
    memset(z + SIZE, 0, ALL_LAGS * sizeof *z);
    for (int i = 0; i < SIZE; i++) z[i] = y[i] / deviation;
    SUM(third, fourth, heights, near) for (int i = 0; i < SIZE; i++) {
        double square = (double)z[i] * z[i];
        third += square * z[i];
        fourth += square * square;
        heights += height[i];
        near += height[i] < 0.15f * top[TOP - 7];
    }
    SUM(steep, lengths, level) for (int i = 0; i < SIZE - 1; i++) {
        double square = (double)slope[i] * slope[i];
        steep += square * square;
        lengths += steps[i];
        level += steps[i] < 0.1f * few[0];
    }
    for (int i = 0; i < TOP; i++) tops += ((double)top[i] / deviation) * (top[i] / deviation);

    double half = rint(3.14159265358979323846 * heights / (lengths + 1e-9)), left = 0, whole = 0;
    int lag = half < 2 ? 2 : half > LONGEST_HALF ? LONGEST_HALF : (int)half;
    SUM(left) for (int i = lag; i < SIZE; i++) left += fabs((double)y[i] + y[i - lag]);
    SUM(whole) for (int i = lag; i < SIZE; i++) whole += (double)height[i] + height[i - lag];

    float most = 0, least = INFINITY, highest = -INFINITY, lowest = INFINITY;
    for (int second = 0; second < SECONDS; second++) {
        float low = INFINITY, high = -INFINITY;
        for (int i = second * RATE; i < (second + 1) * RATE; i++) {
            low = y[i] < low ? y[i] : low;
            high = y[i] > high ? y[i] : high;
        }
        most = high - low > most ? high - low : most;
        least = high - low < least ? high - low : least;
    }
    float product[ALL_LAGS];
    repeated(z, product);
    for (int k = 0; k < LAGS; k++) again[k] = (float)(product[k] / ((double)product[0] + 1e-9));
    for (int k = 8; k < LAGS; k++) highest = again[k] > highest ? again[k] : highest;
    for (int k = 3; k < 40; k++) lowest = again[k] < lowest ? again[k] : lowest;

    spectrum(y, found);
    double shape[] = {log(fourth / SIZE + 1e-6), fabs(third / SIZE),
                      log(steep / pow(spread, 4) / (SIZE - 1) + 1e-6), log(spread / deviation),
                      (double)near / SIZE, (double)level / (SIZE - 1), log(deviation),
                      left / (whole + 1e-9), log(lag), log((most + 1e-3) / (least + 1e-3)),
                      highest, lowest, (double)crossings(y, SIZE) / SECONDS, tops / SIZE};
    memcpy(found + BANDS + 4, shape, sizeof shape);
    each_second(y, height, found + FEATURES - 15);
}

/* measure(signal 'r', step, features 'd' [windows, 45], again 'f' [windows, 60]): both are filled
 * with `features.measure` of the windows that begin every `step` samples. */
static PyObject *measure(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, numbers, lags, step;
    if (given != 4) return refuse(&held, "expected 4 arguments");
    const void *signal = take(&held, args[0], 'r', 0, &samples);
    double *found = signal ? take(&held, args[2], 'd', 1, &numbers) : NULL;
    float *again = found ? take(&held, args[3], 'f', 1, &lags) : NULL;
    step = again ? PyLong_AsSsize_t(args[1]) : -1;
    Py_ssize_t windows = again ? numbers / FEATURES : 0;
    if (step < 0 || !again || lags != windows * LAGS || numbers != windows * FEATURES ||
        (windows && (windows - 1) * step + SIZE > samples))
        return refuse(&held, "the sizes do not fit");
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < windows; i++) {
        double piece[SIZE];
        for (int k = 0; k < SIZE; k++)
            piece[k] = held.arrays[0].itemsize == sizeof(float) ? ((const float *)signal)[i * step + k]
                                                                : ((const double *)signal)[i * step + k];
        measure_one(piece, found + i * FEATURES, again + i * LAGS);
    }
    Py_END_ALLOW_THREADS
    return done(&held, Py_NewRef(Py_None));
}

/* One network of `features.SmallNetwork`, its numbers one after another. */
WIDE static void weigh(const double *features, Py_ssize_t windows, Py_ssize_t inputs, const double *network,
                       Py_ssize_t units, double most, double *found) {
    const double *mean = network, *scale = mean + inputs, *hidden = scale + inputs;
    const double *weights = hidden + (inputs + 1) * units;
    for (Py_ssize_t at = 0; at < windows; at++, features += inputs) {
        double sums[MAX_UNITS], result = weights[units];
        memcpy(sums, hidden + inputs * units, units * sizeof *sums);
        for (Py_ssize_t i = 0; i < inputs; i += ROWS) { /* each sum in the order of the inputs */
            double values[ROWS];
            Py_ssize_t rows = inputs - i < ROWS ? inputs - i : ROWS;
            const double *row = hidden + i * units;
            for (Py_ssize_t j = 0; j < rows; j++)
                values[j] = clipped((features[i + j] - mean[i + j]) / scale[i + j], -most, most);
            if (rows == ROWS)
                for (Py_ssize_t k = 0; k < units; k++) {
                    double sum = sums[k];
                    for (int j = 0; j < ROWS; j++) sum += values[j] * row[j * units + k];
                    sums[k] = sum;
                }
            else
                for (Py_ssize_t j = 0; j < rows; j++)
                    for (Py_ssize_t k = 0; k < units; k++) sums[k] += values[j] * row[j * units + k];
        }
        for (Py_ssize_t k = 0; k < units; k++) result += tanh(sums[k]) * weights[k];
        found[at] = result;
    }
}

/* log_odds(features 'd' [windows, inputs], windows, largest, found 'd' [networks, windows], networks
 * 'd' ...): fills in `features.log_odds`; of each network mean, scale, hidden, weights, bias. */
static PyObject *log_odds(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, answers, networks = given - 4;
    if (given < 5 || given > 4 + MAX_ARRAYS - 2) return refuse(&held, "expected 5 to 18 arguments");
    const double *features = take(&held, args[0], 'd', 0, &numbers);
    Py_ssize_t windows = features ? PyLong_AsSsize_t(args[1]) : 0;
    double most = PyFloat_AsDouble(args[2]), *found = features ? take(&held, args[3], 'd', 1, &answers) : NULL;
    if (!found || windows < 0 || answers != networks * windows || (windows && numbers % windows))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t inputs = windows ? numbers / windows : 0;
    for (Py_ssize_t i = 0; windows && i < networks; i++) {
        Py_ssize_t size, units;
        const double *network = take(&held, args[4 + i], 'd', 0, &size);
        units = network ? (size - 2 * inputs - 1) / (inputs + 2) : 0;
        if (!network || units < 1 || units > MAX_UNITS || size != 2 * inputs + (inputs + 2) * units + 1)
            return refuse(&held, "the sizes do not fit");
        Py_BEGIN_ALLOW_THREADS
        weigh(features, windows, inputs, network, units, most, found + i * windows);
        Py_END_ALLOW_THREADS
    }
    return done(&held, Py_NewRef(Py_None));
}

typedef struct {
    double shortest, longest, min_likeness, like_several; /* of `fast.beats_fast` */
    double most, max_fibrillation, not_noise; /* of `NoiseModel.follow` */
    double largest;                           /* of `features.comparable` */
} Verdict;

/* True if a window repeats itself faster than beats are found: `fast.beats_fast`. */
static int is_fast(const float *again, const Verdict *limits) {
    int shortest = (int)limits->shortest, longest = (int)limits->longest, lag = shortest;
    for (int i = shortest; i < longest; i++)
        if (again[i] > again[lag]) lag = i;
    double most = again[lag], least = again[1], several = again[longest];
    if (!(most > limits->min_likeness)) return 0; /* nearly always */
    for (int i = 1; i < lag; i++) least = again[i] < least ? again[i] : least;
    for (int i = longest; i < LAGS; i++) several = again[i] > several ? again[i] : several;
    return again[lag - 1] <= most && most >= again[lag + 1] && most - least > limits->min_likeness &&
           most > limits->like_several * several;
}

enum { STRIP = 2 * FEATURES + 1, NETWORKS = 3 }; /* inputs of `noise.StripModel`; the last is one */
typedef struct {
    const double *numbers[NETWORKS];
    Py_ssize_t units[NETWORKS];
} Networks;

/* Judge one window: its log-odds by the three networks, the last in the light of those before, whose means
 * and number move on. True if the heart is too fast. */
static int verdict(const float *signal, float *means, double *before, const Verdict *limits,
                   const Networks *networks, double *found) {
    const double *mean = networks->numbers[NETWORKS - 1], *scale = mean + STRIP;
    double piece[SIZE], inputs[STRIP];
    float again[LAGS];
    for (int i = 0; i < SIZE; i++) piece[i] = signal[i];
    measure_one(piece, inputs, again);
    *before = *before + 1 < limits->most ? *before + 1 : limits->most;
    for (int i = 0; i < FEATURES; i++) { /* `noise.with_means` */
        double own = clipped((inputs[i] - mean[i]) / scale[i], -limits->largest, limits->largest);
        means[i] = (float)(means[i] + (own - means[i]) / *before); /* as a state is saved */
        inputs[FEATURES + i] = means[i];
    }
    inputs[2 * FEATURES] = log(*before);
    for (int i = 0; i < NETWORKS; i++) {
        weigh(inputs, 1, i < 2 ? FEATURES : STRIP, networks->numbers[i], networks->units[i], limits->largest,
              &found[i]);
        found[i] = (float)found[i];
    }
    if (found[0] > limits->max_fibrillation) found[2] = limits->not_noise;
    return is_fast(again, limits);
}

/* Of `seconds.Seconds`, and of its state. */
enum { RECENT, STATE, TAKEN, ECG_60HZ, FLAWS, WINDOWS, EXTREMES, NEWEST, NOISE_MEMORY, FIELDS };
static const char *const NAMES[FIELDS] = {"recent",  "state",    "taken",  "ecg_60hz",    "flaws",
                                          "windows", "extremes", "newest", "noise_memory"};
static PyObject *names[FIELDS];

/* Where the signals of patients go, a row for each, and all that does not change. */
typedef struct {
    PyObject *all_lines, *all_60hz, *all_means, *extremes, *window, *memory;
    float *lines, *at_60hz, *means;
    Py_ssize_t row, wide;
    int tenth;
    const double *mains;
    const Plain *plain;
    const Verdict *limits;
    Networks networks;
} Rows;

/* Judge the windows that are complete now, of one patient whose signal at 60 Hz is this. -1 if his state is none. */
static int take_windows(Held *held, PyObject *state, PyObject *windows, const float *signal, Py_ssize_t at,
                        const Rows *rows) {
    PyObject *memory = borrowed(state, names[NOISE_MEMORY]), *window = NULL;
    float *means = rows->means + at * FEATURES;
    double number = 0, fibrillation = 0; /* `noise.mean_fibrillation` */
    if (memory == Py_None) {
        memset(means, 0, FEATURES * sizeof *means);
    } else {
        Py_ssize_t kept;
        if (!memory || !PyTuple_Check(memory) || PyTuple_Size(memory) != 3) return -1;
        const float *before = take(held, PyTuple_GetItem(memory, 0), 'f', 0, &kept);
        if (!before || kept != FEATURES) return -1;
        memcpy(means, before, FEATURES * sizeof *means);
        number = PyFloat_AsDouble(PyTuple_GetItem(memory, 1));
        fibrillation = PyFloat_AsDouble(PyTuple_GetItem(memory, 2));
    }
    for (Py_ssize_t i = PyList_Size(windows) * RATE; i + SIZE <= rows->wide; i += RATE) {
        double found[NETWORKS];
        int fast = verdict(signal + i, means, &number, rows->limits, &rows->networks, found);
        fibrillation = (float)(fibrillation + (found[0] - fibrillation) / number);
        window = named(rows->window, Py_BuildValue("dddN", found[0], found[1], found[2], PyBool_FromLong(fast)));
        append(windows, window); /* which holds it */
    }
    set(state, names[NEWEST], window ? Py_NewRef(window) : NULL);
    set(state, names[NOISE_MEMORY],
        named(rows->memory, Py_BuildValue("Ndd", PySequence_GetItem(rows->all_means, at),
                                          (double)(float)number, fibrillation)));
    return 0;
}

/* Take the signal that follows for one patient: `seconds.take_together`. Of seconds that are not plainly good the
 * patient, the second, and the extremes so far join `rest`. -1 if sizes do not fit. */
static int take_one(Held *held, PyObject *seconds, PyObject *chunk, Py_ssize_t at, const Rows *rows,
                    PyObject *rest) {
    PyObject *state = borrowed(seconds, names[STATE]), *recent = borrowed(seconds, names[RECENT]);
    Py_ssize_t kept, size, begun, second = TENTHS * rows->tenth;
    const float *before = state && recent ? take(held, recent, 'f', 0, &kept) : NULL;
    const float *fresh = before ? take(held, chunk, 'f', 0, &size) : NULL, *old;
    double taken = fresh ? attribute(state, names[TAKEN]) : 0;
    Py_ssize_t part = (Py_ssize_t)fmod(taken, (double)second);
    if (!fresh || PyErr_Occurred() || kept + size != rows->row || part < 0 || part > kept) return -1;
    Py_ssize_t count = (part + size) / second;
    float *line = rows->lines + at * rows->row;
    memcpy(line, before, kept * sizeof *line);
    memcpy(line + kept, fresh, size * sizeof *line);
    set(seconds, names[RECENT], PySequence_GetItem(rows->all_lines, at));
    set(state, names[TAKEN], PyLong_FromDouble(taken + size));
    if (!count) return 0;
    PyObject *ecg_60hz = borrowed(state, names[ECG_60HZ]), *flaws = borrowed(state, names[FLAWS]);
    PyObject *windows = borrowed(state, names[WINDOWS]), *extremes = borrowed(state, names[EXTREMES]);
    if (!ecg_60hz || !flaws || !PyList_Check(flaws) || !windows || !PyList_Check(windows) || !extremes ||
        !(old = take(held, ecg_60hz, 'f', 0, &begun)) || !rows->at_60hz || begun + count * RATE != rows->wide)
        return -1;
    double low = INFINITY, high = -INFINITY;
    if (PyTuple_Check(extremes) && PyTuple_Size(extremes) == 2) {
        low = PyFloat_AsDouble(PyTuple_GetItem(extremes, 0));
        high = PyFloat_AsDouble(PyTuple_GetItem(extremes, 1));
    }
    const double lowest = low, highest = high;
    float *out = rows->at_60hz + at * rows->wide;
    memcpy(out, old, begun * sizeof *out);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!judge_second(line + kept - part + i * second, rows->tenth, rows->mains, rows->plain, &low, &high,
                          out + begun + i * RATE))
            append(rest, Py_BuildValue("nndd", at, i, low, high));
        append(flaws, PyLong_FromLong(0));
    }
    if (low != lowest || high != highest)
        set(state, names[EXTREMES], named(rows->extremes, Py_BuildValue("dd", low, high)));
    set(state, names[ECG_60HZ], PySequence_GetItem(rows->all_60hz, at));
    if (PyList_Size(windows) * RATE + SIZE > rows->wide) return 0;
    return take_windows(held, state, windows, out, at, rows);
}

/* take(patients, chunks 'f', lines 'f' [patients, samples], at_60hz 'f' [patients, n], means 'f' [patients, 45],
 * Extremes, Window, NoiseMemory, mains 'd' [tenth, 4], plain 'd', limits 'd', fibrillation 'd', noise 'd', lasting
 * 'd') -> patient, second, lowest and highest value so far of each second that is not plainly good. Both lists are
 * of patients of one model who are equally far; the three arrays become their rows. */
static PyObject *take_all(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, outputs, means, size, plains, numbers;
    if (given != 14 || !PyList_Check(args[0]) || !PyList_Check(args[1]))
        return refuse(&held, "expected 14 arguments, of which two are lists");
    Py_ssize_t patients = PyList_Size(args[0]);
    Rows rows = {.all_lines = args[2], .all_60hz = args[3], .all_means = args[4], .extremes = args[5],
                 .window = args[6], .memory = args[7]};
    if ((rows.lines = take(&held, args[2], 'f', 1, &samples)) &&
        (rows.at_60hz = take(&held, args[3], 'f', 1, &outputs)) &&
        (rows.means = take(&held, args[4], 'f', 1, &means)) &&
        (rows.mains = take(&held, args[8], 'd', 0, &size)) && (rows.plain = take(&held, args[9], 'd', 0, &plains)))
        rows.limits = take(&held, args[10], 'd', 0, &numbers);
    for (int i = 0; rows.limits && i < NETWORKS; i++) {
        Py_ssize_t wide, inputs = i < 2 ? FEATURES : STRIP, units;
        rows.networks.numbers[i] = take(&held, args[11 + i], 'd', 0, &wide);
        units = rows.networks.units[i] = rows.networks.numbers[i] ? (wide - 2 * inputs - 1) / (inputs + 2) : 0;
        if (units < 1 || units > MAX_UNITS || wide != 2 * inputs + (inputs + 2) * units + 1)
            return refuse(&held, "the sizes do not fit");
    }
    if (!rows.limits || patients < 1 || PyList_Size(args[1]) != patients || samples % patients ||
        outputs % patients || means != patients * FEATURES || size % MAINS ||
        plains != sizeof *rows.plain / sizeof(double) || numbers != sizeof *rows.limits / sizeof(double) ||
        rows.limits->shortest < 1 || rows.limits->longest <= rows.limits->shortest || rows.limits->longest >= LAGS)
        return refuse(&held, "the sizes do not fit");
    rows.row = samples / patients;
    rows.wide = outputs / patients;
    rows.tenth = (int)(size / MAINS);
    if (!rows.tenth || rows.tenth > MAX_TENTH || rows.tenth % (RATE / TENTHS))
        return refuse(&held, "the sizes do not fit");
    PyObject *rest = PyList_New(0);
    const int always = held.count;
    for (Py_ssize_t at = 0; rest && at < patients; at++) {
        int failed = take_one(&held, PyList_GetItem(args[0], at), PyList_GetItem(args[1], at), at, &rows, rest);
        while (held.count > always) PyBuffer_Release(&held.arrays[--held.count]);
        if (failed || PyErr_Occurred()) {
            Py_DECREF(rest);
            return refuse(&held, "the sizes do not fit");
        }
    }
    return done(&held, rest);
}

static PyMethodDef methods[] = {FAST(measure), FAST(log_odds), {"take", (PyCFunction)(void (*)(void))take_all, METH_FASTCALL, NULL}, {NULL, NULL, 0, NULL}};

static int tables(PyObject *module) {
    if (interned(names, NAMES, FIELDS)) return -1;
    const double turn = 2 * 3.14159265358979323846;
    double cosine[SIZE], sine[SIZE];
    for (int i = 0; i < SIZE; i++) {
        cosine[i] = cos(turn * i / SIZE);
        sine[i] = sin(turn * i / SIZE);
        taper[i] = (float)(0.5 - 0.5 * cos(turn * i / (SIZE - 1)));
    }
    for (int i = 0; i <= QUARTER; i++)
        for (int k = 0; k < BINS; k++) {
            cosines[k % 2][i][k / 2] = (float)cosine[i * (k + FIRST_BIN) % SIZE];
            sines[k % 2][i][k / 2] = (float)sine[i * (k + FIRST_BIN) % SIZE];
        }
    return PyModule_AddIntConstant(module, "FEATURES", FEATURES);
}

MODULE(windows, tables)
