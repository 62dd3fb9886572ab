/* Loops over beats and the intervals between them, compiled: optional, and checked by tests against the
 * Python that does the same where this is not built (`../rhythm/baseline.py`,
 * `../rhythm/events/atrial.py`), to the bit but for the P waves. No limit stands here, and no memory is
 * kept: states are the objects that Python saves.
 */
#include "beat.h"

enum { LOG_INTERVAL, PREVIOUS_BEAT, P_WAVES, P_WAVE_BEATS, FIELDS }; /* of `atrial.AtrialState` */
static const char *const NAMES[FIELDS] = {"log_interval", "previous", "p_waves", "p_wave_beats"};
static PyObject *names[FIELDS];

/* read_interval(state, limits 'd', sample, label, probabilities, sinus_certain) -> `RrBaseline.read`. */
static PyObject *read_interval(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size;
    Baseline state;
    const Intervals *limits = given == 6 ? take(&held, args[1], 'd', 0, &size) : NULL;
    PyObject *probabilities = limits ? PySequence_List(args[4]) : NULL;
    if (!probabilities || size != sizeof *limits / sizeof(double) || PyList_Size(probabilities) < 2) {
        Py_XDECREF(probabilities);
        return refuse(&held, "the arguments do not fit");
    }
    double n = PyFloat_AsDouble(PyList_GetItem(probabilities, N));
    double s = PyFloat_AsDouble(PyList_GetItem(probabilities, S));
    double sample = PyFloat_AsDouble(args[2]);
    long label = PyLong_AsLong(args[3]);
    if (read_baseline(args[0], &state) || PyErr_Occurred()) return done(&held, probabilities);
    const Baseline was = state;
    double premature = next(&state, limits, sample, label, n, s, PyObject_IsTrue(args[5]));
    write_baseline(args[0], &state, &was);
    if (isnan(premature)) { /* it stays as it is */
        Py_DECREF(probabilities);
        return done(&held, Py_NewRef(args[4]));
    }
    PyList_SetItem(probabilities, N, PyFloat_FromDouble((n + s) * (1 - premature)));
    PyList_SetItem(probabilities, S, PyFloat_FromDouble((n + s) * premature));
    return done(&held, probabilities);
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
    if (!learnt || size > MAX_WAVE || cells != size * size || numbers != rows * (size + 1))
        return refuse(&held, "the sizes do not fit");
    take_wave(before, detrend, size, means, learnt, rows);
    return done(&held, Py_NewRef(Py_None));
}

/* p_wave(means 'f' [2, n + 1]) -> `left_in` of both. */
static PyObject *p_wave(PyObject *self, PyObject *array) {
    Held held = {.count = 0};
    Py_ssize_t numbers;
    const float *means = take(&held, array, 'f', 0, &numbers);
    if (!means || numbers < 4) return refuse(&held, "the sizes do not fit");
    Py_ssize_t wide = numbers / MEANS;
    return done(&held, Py_BuildValue("[dd]", left_in(means, wide - 1), left_in(means + wide, wide - 1)));
}

/* take_beats(state, beats, limits 'd', detrend 'f', learnt 'f' [most beats + 1, 2], rows 'f' [beats, 7]):
 * `AtrialState.take` of beats one after another, each a sample, whether it is certainly atrial, and the
 * samples before it or None; fills in what the network reads of them. */
static PyObject *take_beats(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, cells, steps, wide, inputs;
    if (given != 6 || !PyList_Check(args[1])) return refuse(&held, "expected 6 arguments");
    const Atrial *limits = take(&held, args[2], 'd', 0, &numbers);
    const float *detrend = limits ? take(&held, args[3], 'f', 0, &cells) : NULL;
    const float *learnt = detrend ? take(&held, args[4], 'f', 0, &steps) : NULL;
    float *row = learnt ? take(&held, args[5], 'f', 1, &inputs) : NULL;
    PyObject *waves = row ? PyObject_GetAttr(args[0], names[P_WAVES]) : NULL;
    float *means = waves ? take(&held, waves, 'f', 1, &wide) : NULL;
    Py_XDECREF(waves); /* the state holds it */
    Py_ssize_t size = means ? wide / MEANS - 1 : 0, count = PyList_Size(args[1]);
    if (!means || size < 1 || size > MAX_WAVE || wide % MEANS || cells != size * size ||
        numbers != sizeof *limits / sizeof(double) || steps != MEANS * ((Py_ssize_t)limits->most_beats + 1) ||
        inputs != INPUTS * count)
        return refuse(&held, "the sizes do not fit");
    Atria atria = {means, size, (Py_ssize_t)attribute(args[0], names[P_WAVE_BEATS]), NAN, NAN};
    PyObject *previous = PyObject_GetAttr(args[0], names[PREVIOUS_BEAT]);
    PyObject *log_interval = PyObject_GetAttr(args[0], names[LOG_INTERVAL]);
    if (previous && previous != Py_None) atria.previous = PyFloat_AsDouble(previous);
    if (log_interval && log_interval != Py_None) atria.log_interval = PyFloat_AsDouble(log_interval);
    Py_XDECREF(previous);
    Py_XDECREF(log_interval);
    for (Py_ssize_t at = 0; at < count && !PyErr_Occurred(); at++, row += INPUTS) {
        PyObject *beat = PyList_GetItem(args[1], at);
        if (!PyTuple_Check(beat) || PyTuple_Size(beat) != 3) return refuse(&held, "a beat is a tuple of 3");
        PyObject *signal = PyTuple_GetItem(beat, 2);
        double sample = PyFloat_AsDouble(PyTuple_GetItem(beat, 0));
        int atrial = PyObject_IsTrue(PyTuple_GetItem(beat, 1));
        Py_ssize_t samples = size;
        const float *wave = signal == Py_None ? NULL : take(&held, signal, 'f', 0, &samples);
        if (samples != size) return refuse(&held, "the sizes do not fit");
        read_beat(&atria, limits, detrend, learnt, sample, atrial, wave, row);
        if (wave) PyBuffer_Release(&held.arrays[--held.count]);
    }
    if (!count || PyErr_Occurred()) return done(&held, Py_NewRef(Py_None));
    set(args[0], names[PREVIOUS_BEAT], PyLong_FromLongLong((long long)atria.previous));
    set(args[0], names[LOG_INTERVAL],
        isnan(atria.log_interval) ? Py_NewRef(Py_None) : PyFloat_FromDouble(atria.log_interval));
    set(args[0], names[P_WAVE_BEATS], PyLong_FromSsize_t(atria.known));
    return done(&held, Py_NewRef(Py_None));
}

static PyMethodDef methods[] = {FAST(read_interval), FAST(take_p_wave), {"p_wave", p_wave, METH_O, NULL},
                                FAST(take_beats), {NULL, NULL, 0, NULL}};

static int prepared(PyObject *module) {
    return interned(names, NAMES, FIELDS) || interned(baseline_names, BASELINE_NAMES, BASELINE_FIELDS) ? -1 : 0;
}

MODULE(intervals, prepared)
