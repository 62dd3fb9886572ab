/* Loops over beats and the intervals between them, compiled: optional, and checked by tests against the
 * Python that does the same where this is not built (`../rhythm/baseline.py`,
 * `../rhythm/events/atrial.py`), to the bit but for the P waves. No limit stands here, and no memory is
 * kept: states are the objects that Python saves.
 */
#include "loops.h"

enum { N, S }; /* of `beats.CLASSES` */

typedef struct {
    double bias, gain, sudden, unknown, max_prematurity, beats, lasting_s, steady_change, steady_s, shortest_s,
        longest_s, fs, same_rate, run_beats, floor;
} Limits;

/* `baseline.BaselineState`; what may be None is NaN. */
enum { LOG_INTERVAL, BEATS, COMPARED, PREVIOUS, PREVIOUS_ATRIAL, RUN_START, RUN_BEATS, RUN_LOG_INTERVAL,
       RUN_CHANGE, LAST_LOG_INTERVAL, FIELDS };
/* Of `atrial.AtrialState` these, and two of the same names. */
enum { P_WAVES = FIELDS, P_WAVE_BEATS, ALL_FIELDS };
static const char *const NAMES[ALL_FIELDS] = {"log_interval", "beats", "compared", "previous",
                                              "previous_atrial", "run_start", "run_beats",
                                              "run_log_interval", "run_change", "last_log_interval",
                                              "p_waves", "p_wave_beats"};
static PyObject *names[ALL_FIELDS];

static double floored(double probability, double least) { return probability > least ? probability : least; }

/* Probability of S, given N or S: `RrBaseline._premature`. */
static double premature_of(const double *state, const Limits *limits, double network, double log_interval,
                           int after_atrial) {
    double evidence = limits->bias;
    if (after_atrial && !isnan(state[LOG_INTERVAL])) {
        double usual = state[LOG_INTERVAL], last = state[LAST_LOG_INTERVAL];
        evidence += limits->gain * clipped(usual - log_interval, 0, limits->max_prematurity);
        evidence += limits->sudden *
                    clipped((usual < last ? usual : last) - log_interval, 0, limits->max_prematurity);
    }
    double known = (state[BEATS] > state[COMPARED] ? state[BEATS] : state[COMPARED]) / limits->beats;
    known = known < 1 ? known : 1;
    evidence = known * evidence + (1 - known) * limits->unknown;
    return 1 / (1 + exp(-(network + evidence)));
}

/* True if the S beats in a row up to this one are a rate that lasts: `RrBaseline._lasts`. */
static int lasts(double *state, const Limits *limits, double sample, double log_interval, double premature) {
    double last = state[LAST_LOG_INTERVAL];
    state[LAST_LOG_INTERVAL] = (float)log_interval;
    int goes_on =
        state[RUN_BEATS] > 0 && fabs(log_interval - state[RUN_LOG_INTERVAL]) < limits->same_rate;
    if (premature < 0.5 && !(!isnan(state[RUN_START]) && goes_on)) {
        state[RUN_START] = NAN;
        return 0;
    }
    if (isnan(state[RUN_START])) {
        state[RUN_START] = sample;
        state[RUN_BEATS] = state[RUN_CHANGE] = 0;
        state[RUN_LOG_INTERVAL] = state[LAST_LOG_INTERVAL];
        return 0;
    }
    state[RUN_BEATS] = state[RUN_BEATS] + 1 < limits->run_beats ? state[RUN_BEATS] + 1 : limits->run_beats;
    double learnt = 1 / state[RUN_BEATS];
    state[RUN_LOG_INTERVAL] =
        (float)(state[RUN_LOG_INTERVAL] + (log_interval - state[RUN_LOG_INTERVAL]) * learnt);
    state[RUN_CHANGE] =
        (float)(state[RUN_CHANGE] + (fabs(log_interval - last) - state[RUN_CHANGE]) * learnt);
    double lasting = state[RUN_CHANGE] < limits->steady_change ? limits->steady_s : limits->lasting_s;
    return sample - state[RUN_START] >= lasting * limits->fs;
}

/* The probability of S, given N or S, of the next beat, and the state after it; NaN if the beat stays as
 * it is: `RrBaseline.read`. */
static double next(double *state, const Limits *limits, double sample, long label, double n, double s,
                   int sinus_certain) {
    double previous = state[PREVIOUS], after_atrial = state[PREVIOUS_ATRIAL];
    state[PREVIOUS] = sample;
    state[PREVIOUS_ATRIAL] = label == N || label == S;
    if (isnan(previous) || !sinus_certain) state[RUN_START] = NAN;
    if (isnan(previous)) return NAN;
    double log_interval =
        log(clipped((sample - previous) / limits->fs, limits->shortest_s, limits->longest_s));
    if (isnan(state[LOG_INTERVAL])) state[LOG_INTERVAL] = (float)log_interval;
    if (!state[PREVIOUS_ATRIAL] || !sinus_certain) return NAN;
    double network = log(floored(s, limits->floor) / floored(n, limits->floor));
    double premature = premature_of(state, limits, network, log_interval, after_atrial != 0);
    if (!after_atrial) return premature;
    if (lasts(state, limits, sample, log_interval, premature)) {
        state[LOG_INTERVAL] = state[RUN_LOG_INTERVAL];
        state[RUN_START] = NAN;
        premature = premature_of(state, limits, network, log_interval, 1);
    }
    double late = log_interval - state[LOG_INTERVAL], beats = state[BEATS], most = limits->beats;
    double remembered = beats < most ? beats : most, compared = state[COMPARED] + 1;
    state[LOG_INTERVAL] = (float)(state[LOG_INTERVAL] + (1 - premature) / remembered * late);
    beats = beats + 1 - premature;
    state[BEATS] = (float)(beats < most ? beats : most);
    state[COMPARED] = (float)(compared < most ? compared : most);
    return premature;
}

/* read_interval(state, limits 'd', sample, label, probabilities, sinus_certain) -> `RrBaseline.read`. */
static PyObject *read_interval(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size;
    double state[FIELDS], was[FIELDS];
    const Limits *limits = given == 6 ? take(&held, args[1], 'd', 0, &size) : NULL;
    PyObject *probabilities = limits ? PySequence_List(args[4]) : NULL;
    if (!probabilities || size != sizeof *limits / sizeof(double) || PyList_Size(probabilities) < 2) {
        Py_XDECREF(probabilities);
        return refuse(&held, "the arguments do not fit");
    }
    for (int i = 0; i < FIELDS; i++) {
        PyObject *value = PyObject_GetAttr(args[0], names[i]);
        if (!value) return done(&held, probabilities);
        state[i] = value == Py_None ? NAN : PyFloat_AsDouble(value);
        Py_DECREF(value);
    }
    memcpy(was, state, sizeof was);
    double n = PyFloat_AsDouble(PyList_GetItem(probabilities, N));
    double s = PyFloat_AsDouble(PyList_GetItem(probabilities, S));
    double sample = PyFloat_AsDouble(args[2]);
    long label = PyLong_AsLong(args[3]);
    if (PyErr_Occurred()) return done(&held, probabilities);
    double premature = next(state, limits, sample, label, n, s, PyObject_IsTrue(args[5]));
    for (int i = 0; i < FIELDS; i++) {
        if (state[i] == was[i] || (isnan(state[i]) && isnan(was[i]))) continue;
        PyObject *value = isnan(state[i])      ? Py_NewRef(Py_None)
                          : i == PREVIOUS_ATRIAL ? PyBool_FromLong(state[i] != 0)
                          : i == PREVIOUS || i == RUN_START || i == RUN_BEATS
                              ? PyLong_FromLongLong((long long)state[i])
                              : PyFloat_FromDouble(state[i]);
        if (value) PyObject_SetAttr(args[0], names[i], value);
        Py_XDECREF(value);
    }
    if (isnan(premature)) { /* it stays as it is */
        Py_DECREF(probabilities);
        return done(&held, Py_NewRef(args[4]));
    }
    PyList_SetItem(probabilities, N, PyFloat_FromDouble((n + s) * (1 - premature)));
    PyList_SetItem(probabilities, S, PyFloat_FromDouble((n + s) * premature));
    return done(&held, probabilities);
}

enum { MAX_WAVE = 63, MEANS = 2 };

/* A beat's P wave goes into the means [rows, size + 1] as far as each has learnt [rows]. */
static void take_wave(const float *before, const float *detrend, Py_ssize_t size, float *means,
                      const float *learnt, Py_ssize_t rows) {
    float wave[MAX_WAVE + 1];
    double power = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        wave[i] = 0;
        for (Py_ssize_t k = 0; k < size; k++) wave[i] += detrend[i * size + k] * before[k];
        power += (double)wave[i] * wave[i];
    }
    wave[size] = (float)(power / size);
    for (Py_ssize_t row = 0; row < rows; row++, means += size + 1)
        for (Py_ssize_t i = 0; i <= size; i++) means[i] += (wave[i] - means[i]) * learnt[row];
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

/* Log of the share of the power that is left in a mean [size + 1]. */
static double left_in(const float *mean, Py_ssize_t size) {
    double left = 0;
    for (Py_ssize_t i = 0; i < size; i++) left += (double)mean[i] * mean[i];
    return log(left / size / (mean[size] + 1e-5) + 0.01);
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

typedef struct {
    double fs, shortest_s, longest_s, shortest_counted_s, longest_counted_s, usual_s, p_wave_left, most_beats;
} Atrial;

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
        inputs != 7 * count)
        return refuse(&held, "the sizes do not fit");
    PyObject *previous = PyObject_GetAttr(args[0], names[PREVIOUS]);
    PyObject *log_interval = PyObject_GetAttr(args[0], names[LOG_INTERVAL]);
    double before = previous && previous != Py_None ? PyFloat_AsDouble(previous) : NAN;
    double last = log_interval && log_interval != Py_None ? PyFloat_AsDouble(log_interval) : NAN;
    Py_ssize_t known = (Py_ssize_t)attribute(args[0], names[P_WAVE_BEATS]);
    Py_XDECREF(previous);
    Py_XDECREF(log_interval);
    for (Py_ssize_t at = 0; at < count && !PyErr_Occurred(); at++, row += 7) {
        PyObject *beat = PyList_GetItem(args[1], at);
        if (!PyTuple_Check(beat) || PyTuple_Size(beat) != 3) return refuse(&held, "a beat is a tuple of 3");
        PyObject *signal = PyTuple_GetItem(beat, 2);
        double sample = PyFloat_AsDouble(PyTuple_GetItem(beat, 0));
        int atrial = PyObject_IsTrue(PyTuple_GetItem(beat, 1));
        if (atrial && signal != Py_None) {
            Py_ssize_t samples;
            const float *wave = take(&held, signal, 'f', 0, &samples);
            if (!wave || samples != size) return refuse(&held, "the sizes do not fit");
            if (known < limits->most_beats) known++;
            take_wave(wave, detrend, size, means, learnt + MEANS * known, MEANS);
            PyBuffer_Release(&held.arrays[--held.count]);
        }
        double interval = (sample - before) / limits->fs, length = NAN;
        if (limits->shortest_s < interval && interval < limits->longest_s)
            length = (float)log(clipped(interval, limits->shortest_counted_s, limits->longest_counted_s) /
                                limits->usual_s);
        row[0] = isnan(length) ? 0 : (float)length;
        row[1] = !isnan(length);
        row[2] = (float)atrial;
        row[3] = known ? (float)(left_in(means, size) - limits->p_wave_left) : 0;
        row[4] = known ? (float)(left_in(means + size + 1, size) - limits->p_wave_left) : 0;
        row[5] = (float)(known / limits->most_beats);
        row[6] = isnan(length) || isnan(last) ? 0 : (float)(length - last);
        before = sample;
        last = length;
    }
    if (!count || PyErr_Occurred()) return done(&held, Py_NewRef(Py_None));
    set(args[0], names[PREVIOUS], PyLong_FromLongLong((long long)before));
    set(args[0], names[LOG_INTERVAL], isnan(last) ? Py_NewRef(Py_None) : PyFloat_FromDouble(last));
    set(args[0], names[P_WAVE_BEATS], PyLong_FromSsize_t(known));
    return done(&held, Py_NewRef(Py_None));
}

static PyMethodDef methods[] = {FAST(read_interval), FAST(take_p_wave), {"p_wave", p_wave, METH_O, NULL},
                                FAST(take_beats), {NULL, NULL, 0, NULL}};

static int prepared(PyObject *module) { return interned(names, NAMES, ALL_FIELDS); }

MODULE(intervals, prepared)
