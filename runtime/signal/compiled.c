/* The innermost loops over samples, compiled: optional, and checked by tests against the arrays that
 * do the same where this is not built (`missing.py`). No limit stands here, and
 * no memory is kept. Arrays are contiguous, of the types named.
 */
#include "loops.h"

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

/* single(number) -> the nearest of float32. */
static PyObject *single(PyObject *self, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble((float)value);
}

static PyMethodDef methods[] = {FAST(plain), {"single", single, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};

static int nothing(PyObject *module) { return module == NULL; }

MODULE(compiled, nothing)
