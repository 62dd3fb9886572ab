/* The innermost loops of features, quality and beats, compiled: optional, and checked by tests
 * against the arrays that do the same where this is not built (`features.py`, `quality.py`,
 * `missing.py`, `r_peak.py`, `../model/frames.py`, `../rhythm/template.py`). Of one second of a
 * live stream numpy's calls take longer than all their arithmetic. Nothing is decided here, no
 * limit stands here, and no memory is kept. Arrays are contiguous, of the types named.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

enum { RATE = 60, SECONDS = 5, SIZE = RATE * SECONDS, LAGS = 60, LONGEST_HALF = 120, BASELINE = 45 };
enum { HALF = SIZE / 2, FIRST_BIN = 4, BINS = 106, BANDS = 12, FEATURES = 45, TOP = SIZE / 10 };
/* The first of each band's bins, of 0.2 Hz each. */
static const int EDGES[BANDS + 1] = {0, 2, 5, 8, 11, 15, 19, 24, 31, 41, 56, 76, BINS};
static const float FREQUENCY = (float)RATE / SIZE;
/* Of even and of odd bins, for each sample up to a quarter. */
enum { QUARTER = HALF / 2, LANES = 56 };
static float cosines[2][QUARTER + 1][LANES], sines[2][QUARTER + 1][LANES], taper[SIZE];

/* Add up in several lanes: compilers do so only if told. */
#define PRAGMA(text) _Pragma(#text)
#define SUM(...) PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#define MAX_ARRAYS 8
enum { MAX_UNITS = 256 };
typedef struct {
    Py_buffer arrays[MAX_ARRAYS];
    int count;
} Held;

/* The values of an array of this type ('f', 'd', '?', or 'r' for 'f' or 'd'), and how many; NULL with
 * an error set. */
static void *take(Held *held, PyObject *array, char type, int writable, Py_ssize_t *count) {
    Py_buffer *buffer = &held->arrays[held->count];
    int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(array, buffer, flags)) return NULL;
    held->count++;
    char own = buffer->format && !buffer->format[1] ? buffer->format[0] : 0;
    if (own != type && !(type == 'r' && (own == 'f' || own == 'd'))) {
        PyErr_Format(PyExc_TypeError, "an array is not of type '%c'", type);
        return NULL;
    }
    *count = buffer->len / buffer->itemsize;
    return buffer->buf;
}

static PyObject *done(Held *held, PyObject *result) {
    while (held->count) PyBuffer_Release(&held->arrays[--held->count]);
    return PyErr_Occurred() ? (Py_XDECREF(result), NULL) : result;
}

static PyObject *refuse(Held *held, const char *what) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, what);
    return done(held, NULL);
}

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

/* The largest `count` values, ascending. */
static void largest(const float *values, int size, float *top, int count) {
    int held = 0;
    for (int i = 0; i < size; i++) {
        float value = values[i];
        if (held == count && value <= top[0]) continue;
        int at = held < count ? held++ : count - 1;
        if (at == count - 1 && held == count && i >= count) { /* the smallest leaves */
            for (at = 0; at + 1 < count && top[at + 1] < value; at++) top[at] = top[at + 1];
        } else {
            for (; at > 0 && top[at - 1] > value; at--) top[at] = top[at - 1];
        }
        top[at] = value;
    }
}

static void spectrum(const float *y, double *found) {
    /* Folded at half and at a quarter: of cosines and sines of even and of odd bins only the first
     * quarter is left. */
    float even[HALF + 1], odd[HALF + 1], real[2][LANES] = {{0}}, imaginary[2][LANES] = {{0}};
    float power[BINS];
    even[0] = y[0] * taper[0];
    even[HALF] = y[HALF] * taper[HALF];
    odd[0] = odd[HALF] = 0;
    for (int i = 1; i < HALF; i++) {
        float one = y[i] * taper[i], other = y[SIZE - i] * taper[SIZE - i];
        even[i] = one + other;
        odd[i] = one - other;
    }
    for (int which = 0; which < 2; which++)
        for (int i = 0; i <= QUARTER; i++) {
            float sign = which ? -1.0f : 1.0f, folded = i < QUARTER ? sign : 0.0f;
            float cosine = even[i] + folded * even[HALF - i];
            float sine = odd[i] - folded * odd[HALF - i];
            for (int k = 0; k < LANES; k++) real[which][k] += cosine * cosines[which][i][k];
            for (int k = 0; k < LANES; k++) imaginary[which][k] += sine * sines[which][i][k];
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

/* `features.measure` of one window: mV at 60 Hz, [300]. */
static void measure_one(const double *piece, double *found, float *again) {
    float y[SIZE], z[SIZE + LAGS], slope[SIZE - 1], height[SIZE], steps[SIZE - 1], top[TOP], few[7];
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
    memset(z + SIZE, 0, LAGS * sizeof *z);
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
    float product[LAGS];
    for (int block = 0; block < LAGS; block += 20) { /* as many as fit registers */
        float sums[20] = {0};
        for (int i = 0; i < SIZE; i++)
            for (int k = 0; k < 20; k++) sums[k] += z[i] * z[i + block + k];
        memcpy(product + block, sums, sizeof sums);
    }
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

/* extent(ecg 'd') -> lowest, highest, largest rise and largest fall from sample to sample; all NaN
 * if a sample is. */
static PyObject *extent(PyObject *self, PyObject *array) {
    Held held = {.count = 0};
    Py_ssize_t size;
    const double *ecg = take(&held, array, 'd', 0, &size);
    if (!ecg || !size) return refuse(&held, "no samples");
    double low = ecg[0], high = ecg[0], rise = 0, fall = 0;
    int number = ecg[0] == ecg[0];
    for (Py_ssize_t i = 1; i < size; i++) {
        double value = ecg[i], step = value - ecg[i - 1];
        number &= value == value;
        low = value < low ? value : low;
        high = value > high ? value : high;
        rise = step > rise ? step : rise;
        fall = step < fall ? step : fall;
    }
    if (!number) low = high = rise = fall = NAN;
    return done(&held, Py_BuildValue("dddd", low, high, rise, fall));
}

static double middle(double *values, int count) {
    for (int i = 1; i < count; i++) {
        double value = values[i];
        int at = i;
        for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
        values[at] = value;
    }
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

enum { MAX_TENTH = 128 };
typedef struct {
    double few, flat_mv, baseline_mv, rail_mv, jump_mv, hum_mv;
} Limits;

/* True if nothing is wrong with a second: `quality._plainly_good`. */
static int plainly_good(const float *row, int size, const double (*waves)[4], const Limits *limits,
                        double swing, double low, double high) {
    int lower = 0, upper = 0, humming = 0;
    if (size < limits->few || !(limits->flat_mv <= swing && swing <= limits->baseline_mv)) return 0;
    for (int i = 0; i < size; i++) {
        lower += row[i] - low <= limits->rail_mv;
        upper += high - row[i] <= limits->rail_mv;
    }
    if (lower >= limits->few || upper >= limits->few) return 0;
    if (swing > limits->jump_mv)
        for (int i = 1; i < size; i++)
            if (fabs((double)row[i] - row[i - 1]) > limits->jump_mv) return 0;
    for (int part = 0; part < 10; part++) {
        int any = 0;
        for (int k = 0; k < 4; k++) any |= fabs(waves[part][k]) > limits->hum_mv;
        humming += any;
    }
    return 2 * humming < 10;
}

/* judge(rows 'f' [seconds, samples], mains 'd' [tenth, 4], limits 'd', low, high, rails 'd'
 * [seconds, 2], plain '?' [seconds], at_60hz 'f') -> low, high, plainly good seconds: fills the
 * extremes so far at each second, whether it is plainly good, and the signal less its hum. */
static PyObject *judge(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, size, limited, ends, flags, outputs;
    if (given != 8) return refuse(&held, "expected 8 arguments");
    const float *rows = take(&held, args[0], 'f', 0, &samples);
    const double *mains = rows ? take(&held, args[1], 'd', 0, &size) : NULL;
    const Limits *limits = mains ? take(&held, args[2], 'd', 0, &limited) : NULL;
    double low = PyFloat_AsDouble(args[3]), high = PyFloat_AsDouble(args[4]);
    double *rails = limits ? take(&held, args[5], 'd', 1, &ends) : NULL;
    unsigned char *plain = rails ? take(&held, args[6], '?', 1, &flags) : NULL;
    float *at_60hz = plain ? take(&held, args[7], 'f', 1, &outputs) : NULL;
    int tenth = at_60hz ? (int)(size / 4) : 0, second = 10 * tenth;
    if (!at_60hz || !tenth || tenth > MAX_TENTH || tenth % (RATE / 10) || samples != flags * second ||
        ends != 2 * flags || outputs != flags * RATE || limited != sizeof *limits / sizeof(double))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t good = 0;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < flags; at++) {
        const float *row = rows + at * second;
        double waves[10][4] = {{0}}, usual[4], hum[MAX_TENTH], one[10];
        float least = row[0], most = row[0];
        for (int i = 1; i < second; i++) {
            least = row[i] < least ? row[i] : least;
            most = row[i] > most ? row[i] : most;
        }
        low = least < low ? least : low;
        high = most > high ? most : high;
        rails[2 * at] = low;
        rails[2 * at + 1] = high;
        for (int part = 0; part < 10; part++)
            for (int i = 0; i < tenth; i++)
                for (int k = 0; k < 4; k++)
                    waves[part][k] += row[part * tenth + i] * mains[4 * i + k];
        plain[at] = plainly_good(row, second, (const double (*)[4])waves, limits,
                                 (double)most - least, low, high);
        good += plain[at];
        for (int k = 0; k < 4; k++) {
            for (int part = 0; part < 10; part++) one[part] = waves[part][k];
            usual[k] = middle(one, 10);
        }
        for (int i = 0; i < tenth; i++) {
            hum[i] = 0;
            for (int k = 0; k < 4; k++) hum[i] += usual[k] * mains[4 * i + k];
            hum[i] *= tenth / 2.0;
        }
        for (int out = 0, i = 0; out < RATE; out++) {
            float sum = 0;
            for (int k = 0; k < second / RATE; k++, i++) sum += (float)(row[i] - hum[i % tenth]);
            at_60hz[at * RATE + out] = sum / (second / RATE);
        }
    }
    Py_END_ALLOW_THREADS
    return done(&held, Py_BuildValue("ddn", low, high, good));
}

/* log_odds(features 'd' [windows, n], mean 'd', scale 'd', hidden 'd' [n + 1, units], weights 'd',
 * bias, largest, found 'd' [windows]): fills in `WindowModel.log_odds`. */
static PyObject *log_odds(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, means, scales, weighed, units, windows;
    if (given != 8) return refuse(&held, "expected 8 arguments");
    const double *features = take(&held, args[0], 'd', 0, &numbers);
    const double *mean = features ? take(&held, args[1], 'd', 0, &means) : NULL;
    const double *scale = mean ? take(&held, args[2], 'd', 0, &scales) : NULL;
    const double *hidden = scale ? take(&held, args[3], 'd', 0, &weighed) : NULL;
    const double *weights = hidden ? take(&held, args[4], 'd', 0, &units) : NULL;
    double bias = PyFloat_AsDouble(args[5]), most = PyFloat_AsDouble(args[6]);
    double *found = weights ? take(&held, args[7], 'd', 1, &windows) : NULL;
    if (!found || numbers != windows * means || scales != means || units > MAX_UNITS ||
        weighed != (means + 1) * units)
        return refuse(&held, "the sizes do not fit");
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < windows; at++) {
        double sums[MAX_UNITS], result = bias;
        memcpy(sums, hidden + means * units, units * sizeof *sums);
        for (Py_ssize_t i = 0; i < means; i++) {
            double value = (features[at * means + i] - mean[i]) / scale[i];
            value = value < -most ? -most : value > most ? most : value;
            for (Py_ssize_t k = 0; k < units; k++) sums[k] += value * hidden[i * units + k];
        }
        for (Py_ssize_t k = 0; k < units; k++) result += tanh(sums[k]) * weights[k];
        found[at] = result;
    }
    Py_END_ALLOW_THREADS
    return done(&held, Py_NewRef(Py_None));
}

/* find_beats(frames 'f' [frames, 6], gap, weakest) -> frame and probabilities of each beat. */
static PyObject *find_beats(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers;
    const float *frames = given == 3 ? take(&held, args[0], 'f', 0, &numbers) : NULL;
    if (!frames) return refuse(&held, "expected 3 arguments");
    Py_ssize_t gap = PyLong_AsSsize_t(args[1]), count = numbers / 6;
    double weakest = PyFloat_AsDouble(args[2]);
    PyObject *found = PyList_New(0);
    for (Py_ssize_t at = gap + 1; found && at < count - gap; at++) {
        const float *row = frames + 6 * (at - 1);
        double own = (double)row[0] + row[6] + row[12];
        if (!(own <= weakest)) continue;
        int least = 1;
        for (Py_ssize_t i = at - gap; least && i < at + gap && i + 1 < count; i++) {
            const float *other = frames + 6 * (i - 1);
            double sum = (double)other[0] + other[6] + other[12];
            least = i < at ? sum > own : sum >= own; /* of equal neighbours the first is the beat */
        }
        if (!least) continue;
        double p[5], total = 0;
        for (int k = 0; k < 5; k++) p[k] = (double)row[k + 1] + row[k + 7] + row[k + 13];
        for (int k = 0; k < 5; k++) total += p[k];
        PyObject *beat = Py_BuildValue("n[ddddd]", at, p[0] / total, p[1] / total, p[2] / total,
                                       p[3] / total, p[4] / total);
        if (!beat || PyList_Append(found, beat)) Py_CLEAR(found);
        Py_XDECREF(beat);
    }
    return done(&held, found);
}

enum { SMOOTH = 5 };

/* r_peak(ecg 'f', near, search, reach) -> the R peak near a sample of the signal. */
static PyObject *r_peak(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size;
    const float *ecg = given == 4 ? take(&held, args[0], 'f', 0, &size) : NULL;
    if (!ecg || !size) return refuse(&held, "expected 4 arguments");
    Py_ssize_t near = PyLong_AsSsize_t(args[1]), search = PyLong_AsSsize_t(args[2]);
    Py_ssize_t reach = PyLong_AsSsize_t(args[3]), up = near, down = near;
    float most = -INFINITY, least = INFINITY;
    double sum = 0;
    for (Py_ssize_t at = near - reach; at <= near + reach; at++) {
        float smooth = 0;
        for (Py_ssize_t i = at - SMOOTH / 2; i <= at + SMOOTH / 2; i++)
            smooth += ecg[i < 0 ? 0 : i < size ? i : size - 1];
        sum += smooth;
        if (at < near - search || at > near + search) continue;
        if (smooth > most) most = smooth, up = at;
        if (smooth < least) least = smooth, down = at;
    }
    Py_ssize_t peak = (double)most + least >= 2 * sum / (2 * reach + 1) ? up : down;
    return done(&held, PyLong_FromSsize_t(peak < 0 ? 0 : peak < size ? peak : size - 1));
}

enum { STEP = 3 };

/* Sum of products in the order of OpenBLAS with AVX2, whose last bits scores show: by 32 in lanes of
 * float, and those left over in double. */
static float dot(const float *a, const float *b, int size) {
    float lanes[4][8] = {{0}}, row[8];
    double rest = 0;
    int i = 0;
    for (; i + 32 <= size; i += 32)
        for (int k = 0; k < 32; k++) lanes[k / 8][k % 8] += a[i + k] * b[i + k];
    for (int k = 0; k < 8; k++) row[k] = lanes[0][k] + lanes[1][k] + lanes[2][k] + lanes[3][k];
    for (int k = 0; k < 4; k++) row[k] += row[k + 4];
    for (; i < size; i++) rest += a[i] * b[i];
    return (float)(rest + ((row[0] + row[1]) + (row[2] + row[3])));
}

/* qrs(around 'f', template 'f' or None, piece 'f') -> mean square of second differences, and
 * correlation with the template at the best shift (0 without one). `piece` is filled with the beat
 * there, less its mean. */
static PyObject *qrs(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, size = 0, pieces;
    if (given != 3) return refuse(&held, "expected 3 arguments");
    const float *around = take(&held, args[0], 'f', 0, &samples), *usual = NULL;
    float *piece = around ? take(&held, args[2], 'f', 1, &pieces) : NULL;
    if (piece && args[1] != Py_None) usual = take(&held, args[1], 'f', 0, &size);
    int coarser = (int)(samples / STEP);
    if (!piece || PyErr_Occurred() || (usual && size != pieces) || coarser < pieces || coarser > 64)
        return refuse(&held, "the sizes do not fit");
    int shifts = coarser - (int)pieces, best = shifts / 2, wide = (int)pieces;
    float coarse[64], second[64], product = -INFINITY, mean = 0;
    for (int i = 0; i < coarser; i++)
        coarse[i] = (around[STEP * i] + around[STEP * i + 1] + around[STEP * i + 2]) * (1.0f / STEP);
    for (int i = 2; i < coarser; i++)
        second[i - 2] = (coarse[i] - coarse[i - 1]) - (coarse[i - 1] - coarse[i - 2]);
    for (int shift = 0; usual && shift <= shifts; shift++) {
        float sum = dot(coarse + shift, usual, wide);
        if (sum > product) product = sum, best = shift;
    }
    for (int i = 0; i < wide; i++) piece[i] = 1;
    mean = (float)((double)dot(coarse + best, piece, wide) / wide);
    for (int i = 0; i < wide; i++) piece[i] = coarse[best + i] - mean;
    double power = usual ? (double)dot(piece, piece, wide) * dot(usual, usual, wide) : 1;
    return done(&held, Py_BuildValue("dd", (double)dot(second, second, coarser - 2) / (coarser - 2),
                                     usual ? product / sqrt(power + 1e-9) : 0.0));
}

/* follow(usual 'f', latest 'f', share): moves each number by this share towards the latest, into
 * the latest. */
static PyObject *follow(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size, own;
    if (given != 3) return refuse(&held, "expected 3 arguments");
    const float *usual = take(&held, args[0], 'f', 0, &size);
    float *latest = usual ? take(&held, args[1], 'f', 1, &own) : NULL;
    if (!latest || own != size) return refuse(&held, "the sizes do not fit");
    float share = (float)PyFloat_AsDouble(args[2]);
    for (Py_ssize_t i = 0; i < size; i++) latest[i] = usual[i] + (latest[i] - usual[i]) * share;
    return done(&held, Py_NewRef(Py_None));
}

/* take_p_wave(before 'f' [n], detrend 'f' [n, n], means 'f' [rows, n + 1], learnt 'f' [rows]): the
 * means take in the samples before a beat, without mean and slope, and their power. */
static PyObject *take_p_wave(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size, cells, numbers, rows;
    if (given != 4) return refuse(&held, "expected 4 arguments");
    const float *before = take(&held, args[0], 'f', 0, &size);
    const float *detrend = before ? take(&held, args[1], 'f', 0, &cells) : NULL;
    float *means = detrend ? take(&held, args[2], 'f', 1, &numbers) : NULL;
    const float *learnt = means ? take(&held, args[3], 'f', 0, &rows) : NULL;
    if (!learnt || size > 63 || cells != size * size || numbers != rows * (size + 1))
        return refuse(&held, "the sizes do not fit");
    float wave[64];
    double power = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        wave[i] = 0;
        for (Py_ssize_t k = 0; k < size; k++) wave[i] += detrend[i * size + k] * before[k];
        power += (double)wave[i] * wave[i];
    }
    wave[size] = (float)(power / size);
    for (Py_ssize_t row = 0; row < rows; row++, means += size + 1)
        for (Py_ssize_t i = 0; i <= size; i++) means[i] += (wave[i] - means[i]) * learnt[row];
    return done(&held, Py_NewRef(Py_None));
}

/* p_wave(means 'f' [2, 16]) -> for each of two means the power left in it, and the mean power. */
static PyObject *p_wave(PyObject *self, PyObject *array) {
    Held held = {.count = 0};
    Py_ssize_t numbers;
    const float *means = take(&held, array, 'f', 0, &numbers);
    if (!means || numbers < 4) return refuse(&held, "the sizes do not fit");
    Py_ssize_t wide = numbers / 2;
    double left[2] = {0};
    for (int row = 0; row < 2; row++)
        for (Py_ssize_t i = 0; i < wide - 1; i++)
            left[row] += (double)means[row * wide + i] * means[row * wide + i];
    return done(&held, Py_BuildValue("(dd)(dd)", left[0] / (wide - 1), (double)means[wide - 1],
                                     left[1] / (wide - 1), (double)means[2 * wide - 1]));
}

/* single(number) -> the nearest of float32. */
static PyObject *single(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble((float)value);
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {
    FAST(measure), FAST(judge), FAST(log_odds), FAST(find_beats), FAST(r_peak), FAST(qrs),
    FAST(follow), FAST(take_p_wave), {"p_wave", p_wave, METH_O, NULL},
    {"extent", extent, METH_O, NULL}, {"single", single, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

static int tables(PyObject *module) {
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

static PyModuleDef_Slot slots[] = {{Py_mod_exec, tables}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "compiled", NULL, 0, methods, slots};

PyMODINIT_FUNC PyInit_compiled(void) { return PyModuleDef_Init(&definition); }
