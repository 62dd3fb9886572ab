/* The innermost loops over samples and beats, compiled: optional, and checked by tests against the
 * arrays that do the same where this is not built (`missing.py`, `quality.py`, `hum.py`, `r_peak.py`,
 * `../rhythm/template.py`, `../rhythm/events/atrial.py`, `../model/frames.py`). Nothing is decided here, no limit stands
 * here, and no memory is kept. Arrays are contiguous, of the types named.
 */
#include "loops.h"

enum { RATE = 60 };

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

enum { CLASSES = 6 };

/* find_beats(frames 'f' [patients, frames, 6], patients, gap, weakest) -> `frames.find_beats`. */
static PyObject *find_beats(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers;
    const float *frames = given == 4 ? take(&held, args[0], 'f', 0, &numbers) : NULL;
    if (!frames) return refuse(&held, "expected 4 arguments");
    Py_ssize_t patients = PyLong_AsSsize_t(args[1]), gap = PyLong_AsSsize_t(args[2]);
    double weakest = PyFloat_AsDouble(args[3]);
    if (PyErr_Occurred() || patients < 1 || gap < 1 || numbers % (patients * CLASSES))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t size = numbers / patients / CLASSES;
    PyObject *found[3] = {PyList_New(0), PyList_New(0), PyList_New(0)};
    for (Py_ssize_t patient = 0; patient < patients; patient++, frames += size * CLASSES)
        for (Py_ssize_t at = gap + 1; at < size - gap; at++) {
#define NO_BEAT(i) SUM_OF_THREE(frames + ((i) - 1) * CLASSES)
#define SUM_OF_THREE(p) ((double)(p)[0] + (p)[CLASSES] + (p)[2 * CLASSES])
            double weak = NO_BEAT(at), sums[CLASSES], total = 0;
            int beat = weak <= weakest;
            for (Py_ssize_t i = at - gap; beat && i < at; i++) beat = NO_BEAT(i) > weak;
            for (Py_ssize_t i = at + 1; beat && i < at + gap; i++) beat = NO_BEAT(i) >= weak;
            if (!beat) continue;
            for (int k = 1; k < CLASSES; k++) {
                sums[k] = SUM_OF_THREE(frames + (at - 1) * CLASSES + k);
                total = k == 1 ? sums[1] : total + sums[k];
            }
            PyObject *one[3] = {PyLong_FromSsize_t(patient), PyLong_FromSsize_t(at),
                                Py_BuildValue("[ddddd]", sums[1] / total, sums[2] / total,
                                              sums[3] / total, sums[4] / total, sums[5] / total)};
            for (int k = 0; k < 3; k++) {
                if (found[k] && one[k]) PyList_Append(found[k], one[k]);
                Py_XDECREF(one[k]);
            }
        }
    return done(&held, Py_BuildValue("NNN", found[0], found[1], found[2]));
}

enum { MAX_CELLS = 256, MAX_EMBEDDED = 64 };

/* out[k] += sum over i of values[i] * matrix[i][k], in float. */
static void add_product(const float *values, int rows, const float *matrix, int columns, float *out) {
    for (int i = 0; i < rows; i++, matrix += columns)
        for (int k = 0; k < columns; k++) out[k] += values[i] * matrix[k];
}

/* gru(beats 'f' [n, inputs], inputs, embedded, weights 'f', memory 'f' [cells], found 'f' [n, 2]):
 * fills in the answers of the second graph (`../model/rhythm_network.py`, which says how its weights
 * lie) and moves its memory on. */
static PyObject *gru(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, weighed, cells, answers;
    if (given != 6) return refuse(&held, "expected 6 arguments");
    const float *beats = take(&held, args[0], 'f', 0, &numbers);
    Py_ssize_t inputs = beats ? PyLong_AsSsize_t(args[1]) : 0, wide = PyLong_AsSsize_t(args[2]);
    const float *weights = beats ? take(&held, args[3], 'f', 0, &weighed) : NULL;
    float *memory = weights ? take(&held, args[4], 'f', 1, &cells) : NULL;
    float *found = memory ? take(&held, args[5], 'f', 1, &answers) : NULL;
    if (!found || inputs < 1 || wide < 1 || wide > MAX_EMBEDDED || cells > MAX_CELLS ||
        numbers != answers / 2 * inputs || answers % 2 ||
        weighed != (inputs + 1) * wide + 3 * cells * (wide + cells + 2) + 2 * cells + 2)
        return refuse(&held, "the sizes do not fit");
    const float *embed_bias = weights + inputs * wide, *given_weights = embed_bias + wide;
    const float *own_weights = given_weights + 3 * cells * wide, *bias = own_weights + 3 * cells * cells;
    const float *own_bias = bias + 3 * cells, *verdict = own_bias + 3 * cells;
    for (; answers; answers -= 2, beats += inputs, found += 2) {
        float input[MAX_EMBEDDED], fresh[3 * MAX_CELLS], own[3 * MAX_CELLS];
        memcpy(input, embed_bias, wide * sizeof *input);
        memcpy(fresh, bias, 3 * cells * sizeof *fresh);
        memcpy(own, own_bias, 3 * cells * sizeof *own);
        add_product(beats, (int)inputs, weights, (int)wide, input);
        for (Py_ssize_t i = 0; i < wide; i++) input[i] = tanhf(input[i]);
        add_product(input, (int)wide, given_weights, 3 * (int)cells, fresh);
        add_product(memory, (int)cells, own_weights, 3 * (int)cells, own);
        for (Py_ssize_t i = 0; i < cells; i++) {
            float keep = 1 / (1 + expf(-(fresh[i] + own[i])));
            float reset = 1 / (1 + expf(-(fresh[cells + i] + own[cells + i])));
            float latest = tanhf(fresh[2 * cells + i] + reset * own[2 * cells + i]);
            memory[i] = (1 - keep) * latest + keep * memory[i];
        }
        memcpy(found, verdict + 2 * cells, 2 * sizeof *found);
        add_product(memory, (int)cells, verdict, 2, found);
    }
    return done(&held, Py_NewRef(Py_None));
}

/* single(number) -> the nearest of float32. */
static PyObject *single(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble((float)value);
}

static PyMethodDef methods[] = {
    FAST(judge), FAST(r_peak), FAST(qrs), FAST(follow), FAST(take_p_wave), FAST(find_beats), FAST(gru),
    {"p_wave", p_wave, METH_O, NULL}, {"extent", extent, METH_O, NULL},
    {"single", single, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static int nothing(PyObject *module) { return module == NULL; }

MODULE(compiled, nothing)
