/* The innermost loops over beats, from frames on, compiled: optional, and checked by tests against the
 * Python that does the same where this is not built (`r_peak.py`, `../model/frames.py`,
 * `../model/rhythm_network.py`, `../engine/push.py`, `../rhythm/template.py`). No limit stands here, and
 * no memory is kept. Arrays are contiguous, of the types named.
 */
#include "beat.h"

#include "artefact.h"

enum { SMOOTH = 5, SMOOTHED = 64 }; /* the last at a time */

/* Sums of `SMOOTH` samples around each of some; before the signal and after it the ends go on. */
static void smoothed(const float *ecg, Py_ssize_t size, Py_ssize_t from, Py_ssize_t count, float *out) {
    const Py_ssize_t half = SMOOTH / 2;
    if (from >= half && from + count + half <= size) { /* nearly always */
        const float *row = ecg + from - half;
        for (Py_ssize_t i = 0; i < count; i++) {
            float sum = 0;
            for (int k = 0; k < SMOOTH; k++) sum += row[i + k];
            out[i] = sum;
        }
        return;
    }
    for (Py_ssize_t at = from; at < from + count; at++) {
        float sum = 0;
        for (Py_ssize_t i = at - half; i <= at + half; i++) sum += ecg[i < 0 ? 0 : i < size ? i : size - 1];
        *out++ = sum;
    }
}

/* The R peak near a sample of the signal. */
static Py_ssize_t peak_near(const float *ecg, Py_ssize_t size, Py_ssize_t near, Py_ssize_t search,
                            Py_ssize_t reach) {
    Py_ssize_t up = near, down = near;
    float most = -INFINITY, least = INFINITY;
    double sum = 0;
    for (Py_ssize_t from = near - reach; from <= near + reach; from += SMOOTHED) {
        float smooth[SMOOTHED];
        Py_ssize_t count = near + reach + 1 - from < SMOOTHED ? near + reach + 1 - from : SMOOTHED;
        smoothed(ecg, size, from, count, smooth);
        for (Py_ssize_t i = 0; i < count; i++) {
            Py_ssize_t at = from + i;
            sum += smooth[i];
            if (at < near - search || at > near + search) continue;
            if (smooth[i] > most) most = smooth[i], up = at;
            if (smooth[i] < least) least = smooth[i], down = at;
        }
    }
    Py_ssize_t peak = (double)most + least >= 2 * sum / (2 * reach + 1) ? up : down;
    return peak < 0 ? 0 : peak < size ? peak : size - 1;
}

/* r_peak(ecg 'f', near, search, reach) -> `peak_near`. */
static PyObject *r_peak(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t size;
    const float *ecg = given == 4 ? take(&held, args[0], 'f', 0, &size) : NULL;
    if (!ecg || !size) return refuse(&held, "expected 4 arguments");
    Py_ssize_t near = PyLong_AsSsize_t(args[1]), search = PyLong_AsSsize_t(args[2]);
    Py_ssize_t reach = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred()) return refuse(&held, "the places are no numbers");
    return done(&held, PyLong_FromSsize_t(peak_near(ecg, size, near, search, reach)));
}

enum { FRAME = 6 };

/* Sum of one probability in three frames, from the first of them on. */
static double three(const float *frame) { return (double)frame[0] + frame[FRAME] + frame[2 * FRAME]; }

/* True if there is a beat at a frame: `frames.find_beats`. Fills in the probabilities of its class. */
static int beat_at(const float *frames, Py_ssize_t at, Py_ssize_t gap, double weakest, double *classes) {
    const float *before = frames + (at - 1) * FRAME;
    double weak = three(before), total = 0;
    if (!(weak <= weakest)) return 0;
    for (Py_ssize_t i = 1; i <= gap; i++)
        if (!(three(before - i * FRAME) > weak)) return 0;
    for (Py_ssize_t i = 1; i < gap; i++)
        if (!(three(before + i * FRAME) >= weak)) return 0;
    for (int k = 0; k < CLASSES; k++) {
        classes[k] = three(before + k + 1);
        total = k ? total + classes[k] : classes[k];
    }
    for (int k = 0; k < CLASSES; k++) classes[k] /= total;
    return 1;
}

static PyObject *list_of(const double *numbers, int size) {
    PyObject *list = PyList_New(size);
    for (int k = 0; list && k < size; k++) PyList_SetItem(list, k, PyFloat_FromDouble(numbers[k]));
    return list;
}

/* find_beats(frames 'f' [patients, frames, 6], patients, gap, weakest) -> `frames.find_beats`. */
static PyObject *find_beats(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers;
    const float *frames = given == 4 ? take(&held, args[0], 'f', 0, &numbers) : NULL;
    if (!frames) return refuse(&held, "expected 4 arguments");
    Py_ssize_t patients = PyLong_AsSsize_t(args[1]), gap = PyLong_AsSsize_t(args[2]);
    double weakest = PyFloat_AsDouble(args[3]), classes[CLASSES];
    if (PyErr_Occurred() || patients < 1 || gap < 1 || numbers % (patients * FRAME))
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t size = numbers / patients / FRAME;
    PyObject *found[3] = {PyList_New(0), PyList_New(0), PyList_New(0)};
    for (Py_ssize_t patient = 0; patient < patients; patient++, frames += size * FRAME)
        for (Py_ssize_t at = gap + 1; at < size - gap; at++) {
            if (!beat_at(frames, at, gap, weakest, classes)) continue;
            append(found[0], PyLong_FromSsize_t(patient));
            append(found[1], PyLong_FromSsize_t(at));
            append(found[2], list_of(classes, CLASSES));
        }
    return done(&held, Py_BuildValue("NNN", found[0], found[1], found[2]));
}

/* decide(frames 'f' [patients, frames, 6], line 'f' [patients, samples], policy 'd' [gap, weakest, hop,
 * search, reach, 5 weights], first, shifts) -> for each patient None, or R peaks, probabilities and
 * labels: `push._decide`. The first frame stands for the sample `first` of its row, and a sample of
 * the line for one of the recording by the patient's number in `shifts`. */
static PyObject *decide(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, samples, given_policy;
    const float *frames = given == 5 && PyList_Check(args[4]) ? take(&held, args[0], 'f', 0, &numbers) : NULL;
    const float *line = frames ? take(&held, args[1], 'f', 0, &samples) : NULL;
    const double *policy = line ? take(&held, args[2], 'd', 0, &given_policy) : NULL;
    if (!policy) return refuse(&held, "expected 5 arguments");
    Py_ssize_t first = PyLong_AsSsize_t(args[3]), patients = PyList_Size(args[4]);
    Py_ssize_t gap = (Py_ssize_t)policy[0], hop = (Py_ssize_t)policy[2];
    if (PyErr_Occurred() || patients < 1 || gap < 1 || given_policy != 5 + CLASSES ||
        numbers % (patients * FRAME) || samples % patients)
        return refuse(&held, "the sizes do not fit");
    Py_ssize_t size = numbers / patients / FRAME, row = samples / patients;
    PyObject *all = PyList_New(patients);
    for (Py_ssize_t patient = 0; all && patient < patients; patient++, frames += size * FRAME) {
        Py_ssize_t shift = PyLong_AsSsize_t(PyList_GetItem(args[4], patient));
        PyObject *found[3] = {NULL, NULL, NULL};
        double classes[CLASSES];
        for (Py_ssize_t at = gap + 1; at < size - gap; at++) {
            if (!beat_at(frames, at, gap, policy[1], classes)) continue;
            Py_ssize_t near = patient * row + first + at * hop;
            if (near + shift <= -hop) continue; /* beats before the recording's start do not count */
            Py_ssize_t peak =
                shift + peak_near(line, samples, near, (Py_ssize_t)policy[3], (Py_ssize_t)policy[4]);
            for (int k = 0; k < 3; k++)
                if (!found[k]) found[k] = PyList_New(0);
            append(found[0], PyLong_FromSsize_t(peak < 0 ? 0 : peak));
            append(found[1], list_of(classes, CLASSES));
            append(found[2], PyLong_FromLong(chosen(classes, policy + 5, CLASSES)));
        }
        PyList_SetItem(all, patient, found[0] ? Py_BuildValue("NNN", found[0], found[1], found[2])
                                              : Py_NewRef(Py_None));
    }
    return done(&held, all);
}

enum { TEMPLATE, BEATS, LOG_ROUGHNESS, CORRELATION_Z, FIELDS }; /* of `template.TemplateState` */
static const char *const NAMES[FIELDS] = {"template", "beats", "log_roughness", "correlation_z"};
static PyObject *names[FIELDS];

/* compare(state, limits 'd', normal, around 'f', piece 'f') -> `template.compare`, which remembers the
 * beat in the state; False if the beat is so high that it may be none. */
static PyObject *compare(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, samples, size = 0, pieces;
    if (given != 5) return refuse(&held, "expected 5 arguments");
    const Template *limits = take(&held, args[1], 'd', 0, &numbers);
    double normal = PyFloat_AsDouble(args[2]);
    const float *around = limits ? take(&held, args[3], 'f', 0, &samples) : NULL, *template = NULL;
    float *piece = around ? take(&held, args[4], 'f', 1, &pieces) : NULL;
    PyObject *known = piece ? PyObject_GetAttr(args[0], names[TEMPLATE]) : NULL;
    if (known && known != Py_None) template = take(&held, known, 'f', 0, &size);
    Py_XDECREF(known); /* the state, or the buffer, holds it */
    int coarser = piece ? (int)(samples / STEP) : 0;
    if (!piece || PyErr_Occurred() || numbers != sizeof *limits / sizeof(double) ||
        (template && size != pieces) || coarser < pieces || coarser > 64 || limits->peak_start < 0 ||
        limits->peak_stop > samples || limits->peak_start >= limits->peak_stop)
        return refuse(&held, "the sizes do not fit");
    if (!is_low(limits, around)) return done(&held, Py_NewRef(Py_False)); /* seldom */
    if (!template && !(normal > limits->min_normal)) return done(&held, Py_NewRef(Py_None));
    Usual usual = {attribute(args[0], names[BEATS]), attribute(args[0], names[LOG_ROUGHNESS]),
                   attribute(args[0], names[CORRELATION_Z])};
    Compared compared = {0};
    if (compared_with(limits, normal, around, coarser, template, piece, (int)pieces, &usual, &compared)) {
        set(args[0], names[TEMPLATE], Py_NewRef(args[4]));
        set(args[0], names[BEATS], PyFloat_FromDouble(usual.beats));
        set(args[0], names[LOG_ROUGHNESS], PyFloat_FromDouble(usual.roughness));
        set(args[0], names[CORRELATION_Z], PyFloat_FromDouble(usual.correlation_z));
    }
    return done(&held, template ? Py_BuildValue("ddd", compared.z_below, compared.roughness_above, compared.trust)
                                : Py_NewRef(Py_None));
}

/* gru(beats 'f' [n, inputs], inputs, embedded, weights 'f', memory 'f' [cells], found 'f' [n, 2]):
 * fills in the answers of the second graph and moves its memory on. */
static PyObject *gru(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers, weighed, cells, answers;
    if (given != 6) return refuse(&held, "expected 6 arguments");
    const float *beats = take(&held, args[0], 'f', 0, &numbers);
    Py_ssize_t inputs = beats ? PyLong_AsSsize_t(args[1]) : 0, wide = PyLong_AsSsize_t(args[2]);
    const float *weights = beats ? take(&held, args[3], 'f', 0, &weighed) : NULL;
    float *memory = weights ? take(&held, args[4], 'f', 1, &cells) : NULL;
    float *found = memory ? take(&held, args[5], 'f', 1, &answers) : NULL;
    if (!found || !weights_fit(weighed, inputs, wide, cells) || numbers != answers / 2 * inputs || answers % 2)
        return refuse(&held, "the sizes do not fit");
    for (; answers; answers -= 2, beats += inputs, found += 2)
        gru_step(beats, (int)inputs, (int)wide, weights, (int)cells, memory, found);
    return done(&held, Py_NewRef(Py_None));
}

/* artefact(look 'd', network 'd', around 'f', row, label, template 'f' or None, correlation_z, log_roughness,
 * beats, previous, after_atrial, log_interval, sample) -> log-odds; what is None is NaN. */
static PyObject *artefact(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Held held = {.count = 0};
    Py_ssize_t numbers = 0, weights = 0, samples = 0, size = 0;
    double known[7], classes[CLASSES];
    int units = 0;
    if (given != 13 || !PyList_Check(args[3]) || PyList_Size(args[3]) != CLASSES)
        return refuse(&held, "expected 13 arguments, the fourth of five probabilities");
    const Look *look = take(&held, args[0], 'd', 0, &numbers);
    const double *network = look ? take(&held, args[1], 'd', 0, &weights) : NULL;
    const float *around = network ? take(&held, args[2], 'f', 0, &samples) : NULL, *usual = NULL;
    if (around && args[5] != Py_None) usual = take(&held, args[5], 'f', 0, &size);
    long label = PyLong_AsLong(args[4]);
    for (int i = 0; i < 7; i++) known[i] = args[6 + i] == Py_None ? NAN : PyFloat_AsDouble(args[6 + i]);
    for (int k = 0; k < CLASSES; k++) classes[k] = PyFloat_AsDouble(PyList_GetItem(args[3], k));
    if (PyErr_Occurred() || !look_fits(look, numbers, weights, &units) || samples != 3 * LOOKED_AT ||
        (usual && !usual_fits(look, size)))
        return refuse(&held, "the sizes do not fit");
    const Patients patients = {usual, (int)size, known[0], known[1], known[2], known[3], known[4], known[5]};
    double found = artefact_log_odds(look, network, units, around, classes, (int)label, &patients, known[6]);
    return done(&held, PyFloat_FromDouble(found));
}

static PyMethodDef methods[] = {FAST(r_peak), FAST(find_beats), FAST(decide), FAST(compare), FAST(gru), FAST(artefact),
                                {NULL, NULL, 0, NULL}};

static int prepared(PyObject *module) { return interned(names, NAMES, FIELDS); }

MODULE(beats, prepared)
