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

/* plain(ecg 'd', edge, constant, step, largest, marks, held 'f') -> the numbers of the next edge, or None:
 * `missing.plain_after`, whose limits these are. The last, which is filled with the signal less its
 * offset, may be left out. */
static PyObject *plain(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size, places;
    double numbers[10];
    if ((given != 6 && given != 7) || !PyTuple_Check(args[1]) || PyTuple_Size(args[1]) != 10)
        return refuse(&held, "expected 6 or 7 arguments, of which one is an edge");
    const double *ecg = take(&held, args[0], 'd', 0, &size);
    float *out = ecg && given == 7 ? take(&held, args[6], 'f', 1, &places) : NULL;
    if (!ecg || !size || (given == 7 && (!out || places != size))) return refuse(&held, "no samples");
    for (int i = 0; i < 10; i++) numbers[i] = PyFloat_AsDouble(PyTuple_GetItem(args[1], i));
    Edge edge;
    memcpy(&edge, numbers, sizeof edge);
    double most = PyFloat_AsDouble(args[2]), step = PyFloat_AsDouble(args[3]);
    double largest = PyFloat_AsDouble(args[4]), low = ecg[0], high = ecg[0], rise = 0, fall = 0;
    int marks = (int)PyLong_AsLong(args[5]), number = ecg[0] == ecg[0];
    if (PyErr_Occurred() || marks < 1) return refuse(&held, "the limits are no numbers");
    for (Py_ssize_t i = 1; i < size; i++) {
        double value = ecg[i], change = value - ecg[i - 1];
        number &= value == value;
        low = value < low ? value : low;
        high = value > high ? value : high;
        rise = change > rise ? change : rise;
        fall = change < fall ? change : fall;
    }
    if (edge.away || edge.ease || !number || !(low >= -largest && high <= largest))
        return done(&held, Py_NewRef(Py_None));
    int still = edge.begun && low == high;
    if (edge.begun) {
        if (edge.begun == NONE_YET) edge.offset = edge.last = edge.second = edge.third = ecg[0];
        edge.begun = low == high && high == edge.last ? STILL : MOVING;
    }
    if (edge.repeats + size > most && !still &&
        may_be_constant(ecg, size, edge.last, edge.repeats, most, marks))
        return done(&held, Py_NewRef(Py_None));
    Py_ssize_t run = alike(ecg, size, ecg[size - 1], 1);
    edge.repeats = run < size ? run - 1.0 : run + (ecg[0] == edge.last ? edge.repeats : -1.0);
    double top = high > edge.last ? high : edge.last, bottom = low < edge.last ? low : edge.last;
    if (top - bottom > step && (fabs(ecg[0] - edge.last) > step || rise > step || fall < -step))
        return done(&held, Py_NewRef(Py_None));
    for (Py_ssize_t i = size < 3 ? 0 : size - 3; i < size; i++) {
        edge.third = edge.second;
        edge.second = edge.last;
        edge.last = ecg[i];
    }
    for (Py_ssize_t i = 0; out && i < size; i++) out[i] = (float)(ecg[i] - edge.offset);
    return done(&held, Py_BuildValue("dddddddddd", edge.offset, edge.last, edge.second, edge.third,
                                     edge.last, 0.0, 0.0, edge.begun, 0.0, edge.repeats));
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

/* judge(rows 'f' [seconds, samples], mains 'd' [tenth, 4], limits 'd', low, high, at_60hz 'f', rails 'd'
 * [seconds, 2], plain '?' [seconds]) -> low, high, plainly good seconds: fills in the signal less its
 * hum; the last two, the extremes so far at each second and whether it is plainly good, may be left out. */
static PyObject *judge(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t samples, size, limited, ends, flags, outputs;
    if (given != 6 && given != 8) return refuse(&held, "expected 6 or 8 arguments");
    const float *rows = take(&held, args[0], 'f', 0, &samples);
    const double *mains = rows ? take(&held, args[1], 'd', 0, &size) : NULL;
    const Limits *limits = mains ? take(&held, args[2], 'd', 0, &limited) : NULL;
    double low = PyFloat_AsDouble(args[3]), high = PyFloat_AsDouble(args[4]);
    float *at_60hz = limits ? take(&held, args[5], 'f', 1, &outputs) : NULL;
    Py_ssize_t seconds = at_60hz ? outputs / RATE : 0;
    ends = 2 * seconds, flags = seconds;
    double *rails = at_60hz && given == 8 ? take(&held, args[6], 'd', 1, &ends) : NULL;
    unsigned char *plain = rails ? take(&held, args[7], '?', 1, &flags) : NULL;
    int tenth = at_60hz ? (int)(size / 4) : 0, second = 10 * tenth;
    if (!at_60hz || PyErr_Occurred() || !tenth || tenth > MAX_TENTH || tenth % (RATE / 10) ||
        samples != seconds * second || ends != 2 * seconds || flags != seconds ||
        outputs != seconds * RATE || limited != sizeof *limits / sizeof(double))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t good = 0;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < seconds; at++) {
        const float *row = rows + at * second;
        double waves[10][4] = {{0}}, usual[4], hum[MAX_TENTH], one[10];
        float least = row[0], most = row[0];
        for (int i = 1; i < second; i++) {
            least = row[i] < least ? row[i] : least;
            most = row[i] > most ? row[i] : most;
        }
        low = least < low ? least : low;
        high = most > high ? most : high;
        if (rails) rails[2 * at] = low, rails[2 * at + 1] = high;
        for (int part = 0; part < 10; part++)
            for (int i = 0; i < tenth; i++)
                for (int k = 0; k < 4; k++)
                    waves[part][k] += row[part * tenth + i] * mains[4 * i + k];
        int fine = plainly_good(row, second, (const double (*)[4])waves, limits, (double)most - least,
                                low, high);
        if (plain) plain[at] = (unsigned char)fine;
        good += fine;
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

/* single(number) -> the nearest of float32. */
static PyObject *single(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble((float)value);
}

static PyMethodDef methods[] = {FAST(judge), FAST(plain), {"single", single, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};

static int nothing(PyObject *module) { return module == NULL; }

MODULE(compiled, nothing)
