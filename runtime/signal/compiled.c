/* The innermost loops over samples, compiled: optional, and checked by tests against the arrays that
 * do the same where this is not built (`missing.py`, `quality.py`, `hum.py`). No limit stands here, and
 * no memory is kept. Arrays are contiguous, of the types named.
 */
#include "loops.h"

enum { RATE = 60 };
enum { MOVING, STILL, NONE_YET }; /* of `missing.Edge` */

/* Samples at the start, or the end, that have this value. */
static Py_ssize_t alike(const double *ecg, Py_ssize_t size, double value, int from_end) {
    Py_ssize_t found = 0;
    while (found < size && ecg[from_end ? size - 1 - found : found] == value) found++;
    return found;
}

/* True if one value may be repeated more than `most` times: `missing._may_be_constant`. */
static int may_be_constant(const double *ecg, Py_ssize_t size, double last, double repeats, double most,
                           int marks) {
    if (ecg[0] == last && alike(ecg, size, last, 0) + repeats > most) return 1;
    Py_ssize_t step = most >= marks ? (Py_ssize_t)(most / marks) : 1;
    int run = 0;
    for (Py_ssize_t i = step; i < size && size > most; i += step) {
        run = ecg[i] == ecg[i - step] ? run + 1 : 0;
        if (run == 3) return 1;
    }
    return 0;
}

typedef struct {
    double offset, last, second, third, came, away, jumped, begun, ease, repeats;
} Edge;

/* Move an edge on over a chunk of which nothing is missing, of which `out`, if there is one, is filled
 * with the signal less its offset: `missing.plain_after`, whose limits these are. False if something may
 * be missing. */
static int plain_after(const double *ecg, Py_ssize_t size, Edge *edge, double most, double step, double largest,
                       int marks, float *out) {
    double low = ecg[0], high = ecg[0], rise = 0, fall = 0;
    int number = ecg[0] == ecg[0];
    for (Py_ssize_t i = 1; i < size; i++) {
        double value = ecg[i], change = value - ecg[i - 1];
        number &= value == value;
        low = value < low ? value : low;
        high = value > high ? value : high;
        rise = change > rise ? change : rise;
        fall = change < fall ? change : fall;
    }
    if (edge->away || edge->ease || !number || !(low >= -largest && high <= largest)) return 0;
    int still = edge->begun && low == high;
    if (edge->begun) {
        if (edge->begun == NONE_YET) edge->offset = edge->last = edge->second = edge->third = ecg[0];
        edge->begun = low == high && high == edge->last ? STILL : MOVING;
    }
    if (edge->repeats + size > most && !still &&
        may_be_constant(ecg, size, edge->last, edge->repeats, most, marks))
        return 0;
    Py_ssize_t run = alike(ecg, size, ecg[size - 1], 1);
    edge->repeats = run < size ? run - 1.0 : run + (ecg[0] == edge->last ? edge->repeats : -1.0);
    double top = high > edge->last ? high : edge->last, bottom = low < edge->last ? low : edge->last;
    if (top - bottom > step && (fabs(ecg[0] - edge->last) > step || rise > step || fall < -step)) return 0;
    for (Py_ssize_t i = size < 3 ? 0 : size - 3; i < size; i++) {
        edge->third = edge->second;
        edge->second = edge->last;
        edge->last = ecg[i];
    }
    edge->came = edge->last;
    edge->away = edge->jumped = edge->ease = 0;
    for (Py_ssize_t i = 0; out && i < size; i++) out[i] = (float)(ecg[i] - edge->offset);
    return 1;
}

/* plain(ecg 'd' [patients, samples], edges, constant, step, largest, marks, Edge, held 'f') -> for each
 * patient the next edge, or None: `plain_after`. The last may be left out. */
static PyObject *plain(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, places = 0;
    if (given != 7 && given != 8) return refuse(&held, "expected 7 or 8 arguments");
    const double *ecg = take(&held, args[0], 'd', 0, &samples);
    float *out = ecg && given == 8 ? take(&held, args[7], 'f', 1, &places) : NULL;
    Py_ssize_t patients = ecg ? PySequence_Size(args[1]) : 0;
    double most = PyFloat_AsDouble(args[2]), step = PyFloat_AsDouble(args[3]);
    double largest = PyFloat_AsDouble(args[4]);
    int marks = (int)PyLong_AsLong(args[5]);
    if (PyErr_Occurred() || patients < 1 || samples < patients || samples % patients || marks < 1 ||
        (given == 8 && (!out || places != samples)))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t size = samples / patients;
    PyObject *all = PyList_New(patients);
    for (Py_ssize_t at = 0; all && at < patients && !PyErr_Occurred(); at++, ecg += size) {
        PyObject *before = PySequence_GetItem(args[1], at), *after = NULL;
        Edge edge;
        double *numbers = (double *)&edge;
        if (!before || !PyTuple_Check(before) || PyTuple_Size(before) != sizeof edge / sizeof(double)) {
            Py_XDECREF(before);
            Py_DECREF(all);
            return refuse(&held, "an edge is a tuple of 10");
        }
        for (int i = 0; i < 10; i++) numbers[i] = PyFloat_AsDouble(PyTuple_GetItem(before, i));
        Py_DECREF(before);
        if (!plain_after(ecg, size, &edge, most, step, largest, marks, out ? out + at * size : NULL)) {
            after = Py_NewRef(Py_None);
        } else if ((after = PyTuple_New(10))) {
            for (int i = 0; i < 10; i++) PyTuple_SetItem(after, i, PyFloat_FromDouble(numbers[i]));
            after = named(args[6], after);
        }
        PyList_SetItem(all, at, after);
    }
    return done(&held, all);
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

enum { TENTHS = 10, MAINS = 4 };

/* Waves of mains in each tenth of a second. */
WIDE static void waves_in(const float *row, int tenth, const double *mains, double (*waves)[MAINS]) {
    for (int part = 0; part < TENTHS; part++)
        for (int i = 0; i < tenth; i++)
            for (int k = 0; k < MAINS; k++) waves[part][k] += row[part * tenth + i] * mains[MAINS * i + k];
}

/* Judge a second: its extremes join those so far, and its signal less its hum is filled in at 60 Hz. True
 * if it is plainly good. */
static int judge_second(const float *row, int tenth, const double *mains, const Limits *limits, double *low,
                        double *high, float *at_60hz) {
    double waves[TENTHS][MAINS] = {{0}}, usual[MAINS], hum[MAX_TENTH], one[TENTHS];
    float least = row[0], most = row[0];
    int second = TENTHS * tenth, each = second / RATE;
    for (int i = 1; i < second; i++) {
        least = row[i] < least ? row[i] : least;
        most = row[i] > most ? row[i] : most;
    }
    *low = least < *low ? least : *low;
    *high = most > *high ? most : *high;
    waves_in(row, tenth, mains, waves);
    for (int k = 0; k < MAINS; k++) {
        for (int part = 0; part < TENTHS; part++) one[part] = waves[part][k];
        usual[k] = middle(one, TENTHS);
    }
    for (int i = 0; i < tenth; i++) {
        hum[i] = 0;
        for (int k = 0; k < MAINS; k++) hum[i] += usual[k] * mains[MAINS * i + k];
        hum[i] *= tenth / 2.0;
    }
    for (int out = 0, i = 0, in_tenth = 0; out < RATE; out++) {
        float sum = 0;
        for (int k = 0; k < each; k++, i++, in_tenth++) sum += (float)(row[i] - hum[in_tenth]);
        at_60hz[out] = sum / each;
        if (in_tenth == tenth) in_tenth = 0; /* a tenth holds whole outputs */
    }
    return plainly_good(row, second, (const double (*)[MAINS])waves, limits, (double)most - least, *low, *high);
}

/* judge(line 'f' [patients, samples], patients, first, mains 'd' [tenth, 4], limits 'd', extremes 'd'
 * [patients, 2], at_60hz 'f' [patients, n], rails 'd' [patients, seconds, 2], plain '?' [patients,
 * seconds]) -> how many seconds are plainly good, of those from the sample `first` of each row on: fills
 * in the signal less its hum, at the end of each row, the extremes so far at each second and whether it
 * is plainly good. */
static PyObject *judge(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, size, limited, begun, outputs, ends, flags, good = 0;
    if (given != 9) return refuse(&held, "expected 9 arguments");
    const float *line = take(&held, args[0], 'f', 0, &samples);
    Py_ssize_t patients = line ? PyLong_AsSsize_t(args[1]) : 0, first = PyLong_AsSsize_t(args[2]);
    const double *mains = line ? take(&held, args[3], 'd', 0, &size) : NULL;
    const Limits *limits = mains ? take(&held, args[4], 'd', 0, &limited) : NULL;
    const double *extremes = limits ? take(&held, args[5], 'd', 0, &begun) : NULL;
    float *at_60hz = extremes ? take(&held, args[6], 'f', 1, &outputs) : NULL;
    double *rails = at_60hz ? take(&held, args[7], 'd', 1, &ends) : NULL;
    unsigned char *plain = rails ? take(&held, args[8], '?', 1, &flags) : NULL;
    if (!plain || PyErr_Occurred() || patients < 1) return refuse(&held, "the sizes do not fit");
    int tenth = (int)(size / MAINS), second = TENTHS * tenth;
    Py_ssize_t row = samples / patients, wide = outputs / patients, seconds = flags / patients;
    if (!tenth || tenth > MAX_TENTH || tenth % (RATE / TENTHS) || samples % patients || outputs % patients ||
        flags % patients || ends != 2 * flags || begun != 2 * patients || seconds * RATE > wide || first < 0 ||
        first + seconds * second > row || limited != sizeof *limits / sizeof(double))
        return refuse(&held, "the sizes do not fit");
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < patients; at++) {
        double low = extremes[2 * at], high = extremes[2 * at + 1];
        float *out = at_60hz + (at + 1) * wide - seconds * RATE;
        for (Py_ssize_t i = 0; i < seconds; i++, out += RATE, rails += 2, plain++) {
            *plain = (unsigned char)judge_second(line + at * row + first + i * second, tenth, mains, limits,
                                                 &low, &high, out);
            rails[0] = low, rails[1] = high;
            good += *plain;
        }
    }
    Py_END_ALLOW_THREADS
    return done(&held, PyLong_FromSsize_t(good));
}

/* single(number) -> the nearest of float32. */
static PyObject *single(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble((float)value);
}

static PyMethodDef methods[] = {FAST(judge), FAST(plain), {"single", single, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};

static int nothing(PyObject *module) { return module == NULL; }

MODULE(compiled, nothing)
