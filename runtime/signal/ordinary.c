/* An ordinary second of a patient, compiled: optional, and checked by tests against the rules in Python, which
 * do the same (`../rhythm/tracker.py`, `../rhythm/events/`). In it nothing begins, lasts or ends; whatever
 * is else is left to them, untouched. No limit stands here, and no memory is kept: states are the objects
 * that Python saves.
 */
#include "beat.h"

#include "artefact.h"

enum { MAX_WIDE = 64, MAX_BEATS = 6, MAX_INTERVALS = 128, NO_LABEL = -1 };

enum { TEMPLATE, BEATS, LOG_ROUGHNESS, CORRELATION_Z,                    /* of `template.TemplateState` */
       NEXT, BASE, TAKEN, ECG_60HZ, FLAWS, WINDOWS,                      /* of `seconds.Seconds`, its state */
       WAITING,                                                          /* of `tracker.TrackerState` */
       PREVIOUS_BEAT, SEEN, CLEAR, INTERVALS,                            /* of `family.History` */
       MEMORY, LAST_INTERVAL, MOMENTS, P_WAVES, P_WAVE_BEATS, WAS_FIBRILLATING, WAS_LOG_ODDS, /* of the atria */
       EVEN_BEATS, EVEN_MEAN, EVEN_SQUARE,
       LOG_ODDS, SINCE, UNTIL,                                           /* of the ventricles */
       STATE, RECENT, OPEN,                                              /* of those that hold them; the ledger */
       FIELDS };
static const char *const NAMES[FIELDS] = {
    "template", "beats", "log_roughness", "correlation_z", "next", "base", "taken", "ecg_60hz", "flaws", "windows",
    "waiting", "previous", "seen", "clear", "intervals", "memory", "log_interval", "moments", "p_waves",
    "p_wave_beats", "was_fibrillating", "was_log_odds", "even_beats", "even_mean", "even_square", "log_odds",
    "since", "until", "state", "recent", "open"};
static PyObject *names[FIELDS];

/* `runs.RunState` and `patterns.PatternState`: whole numbers, then others. */
typedef struct {
    double label, count, start, end, scores;
} Run;
typedef struct {
    double gap, count, start, end, others, scores, last_score;
} Pattern;
enum { COUNT = 1, OTHERS = 4 }; /* of a pattern */
enum { RUN_FIELDS = 5, RUN_WHOLE = 4, PATTERN_FIELDS = 7, PATTERN_WHOLE = 5 };
static const char *const RUN_NAMES[RUN_FIELDS] = {"label", "count", "start", "end", "scores"};
static const char *const PATTERN_NAMES[PATTERN_FIELDS] = {"gap",    "count",  "start",     "end",
                                                          "others", "scores", "last_score"};
static PyObject *run_names[RUN_FIELDS], *pattern_names[PATTERN_FIELDS];

static void read_numbers(PyObject *from, PyObject **fields, int count, void *to) {
    for (int i = 0; i < count; i++) ((double *)to)[i] = attribute(from, fields[i]);
}

/* Write the numbers that have changed. */
static void write_numbers(PyObject *to, PyObject **fields, int count, int whole, const void *now, const void *was) {
    for (int i = 0; i < count; i++) {
        double number = ((const double *)now)[i];
        if (number == ((const double *)was)[i]) continue;
        set(to, fields[i], i < whole ? PyLong_FromDouble(number) : PyFloat_FromDouble(number));
    }
}

/* Limits of labels, after those of template and usual interval. */
typedef struct {
    double weights[CLASSES], gain, margin, roughness, min_atrial, before, after, wide, first_judged, most_shift,
        floor, onset, doubt, kept;
} Labels;

/* Limits of a second. */
typedef struct {
    double fs, rate, silent, pause, rate_beats, bradycardia_bpm, tachycardia_bpm, max_intervals, vf_low, vf_high,
        vf_largest, vf_weight, vf_prior, vf_on, noise, lasting_noise, af_on, even_beats, known_beats, lag, p_wave_first,
        p_wave_last, half_window, window, run_beats, pattern_beats;
} Limits;

/* All that does not change, of a model. */
typedef struct {
    const Template *template;
    const Intervals *intervals;
    const Labels *labels;
    const Limits *limits;
    const Look *look;
    const double *artefact;
    const Atrial *atrial;
    const float *detrend, *learnt, *weights;
    Py_ssize_t waves, cells;
    int wide, units;
    PyObject *tracked_beat, *beats;
} Model;

/* One patient: who holds the states, and the states. */
enum { SECONDS_OF, TRACKED, HISTORY, LEDGER, TEMPLATE_OF, BASELINE_OF, ATRIA_OF, VENTRICLES_OF, PATTERNS_OF, RUNS_OF,
       PARTS };
typedef struct {
    PyObject *seconds, *signal, *tracked, *history, *template, *baseline, *atria, *ventricles, *patterns, *runs;
    double second, taken;
    Py_ssize_t ready;
} Patient;

/* An attribute that is a list; NULL if it is none. */
static PyObject *list_in(PyObject *state, int name) {
    PyObject *list = borrowed(state, names[name]);
    return list && PyList_Check(list) ? list : NULL;
}

/* Drop the first so many of a list. */
static void drop(PyObject *list, Py_ssize_t count) {
    if (count > 0) PyList_SetSlice(list, 0, count, NULL);
}

/* Probabilities and label of a beat by the usual QRS complex: `QrsTemplate.decide`. True if they change. */
static int by_template(double *classes, int *label, const Compared *compared, const Labels *limits) {
    double shift = compared->trust * (limits->gain * (compared->z_below - limits->margin) -
                                      limits->roughness * compared->roughness_above);
    if (shift == 0 || (shift < 0 && *label <= S)) return 0;
    towards_v(classes, shift, limits->most_shift, limits->floor);
    if (*label <= V)
        *label = chosen(classes, limits->weights, V + 1);
    else if (classes[V] * limits->weights[V] > classes[*label] * limits->weights[*label])
        *label = V;
    return 1;
}

/* The next beats in the light of the rhythm, and what waits of each for its second: `tracker.follow`. NULL if
 * one needs another look, and nothing has changed then. */
static PyObject *relabelled(Held *held, const Model *model, const Patient *patient, PyObject *beats,
                            const float *recent, Py_ssize_t samples) {
    const Labels *limits = model->labels;
    const Template *template = model->template;
    PyObject *moments = PyTuple_GetItem(beats, 0), *given_rows = PyTuple_GetItem(beats, 1);
    PyObject *given_labels = PyTuple_GetItem(beats, 2), *waiting = list_in(patient->tracked, WAITING);
    if (!waiting || !PyList_Check(given_rows) || !PyList_Check(given_labels)) return NULL;
    Py_ssize_t count = PyList_Size(moments), kept;
    int reach = (int)(limits->after - limits->before), wide = (int)limits->wide;
    double log_odds = attribute(patient->atria, names[LOG_ODDS]), at[MAX_BEATS];
    const float *around[MAX_BEATS];
    if (count > MAX_BEATS || log_odds >= limits->onset) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        at[i] = PyFloat_AsDouble(PyList_GetItem(moments, i));
        Py_ssize_t last = (Py_ssize_t)(at[i] + limits->after - patient->taken), first = samples + last - reach;
        around[i] = recent + first;
        if (at[i] < limits->first_judged || last > 0 || first < 0 || !is_low(template, around[i]) ||
            (patient->ready && at[i] >= (patient->second + 2) * model->limits->fs))
            return NULL;
    }
    PyObject *was_fibrillating = borrowed(patient->atria, names[WAS_FIBRILLATING]);
    PyObject *known = borrowed(patient->template, names[TEMPLATE]);
    if (was_fibrillating != Py_False || !known || known == Py_None) return NULL;
    Usual usual = {attribute(patient->template, names[BEATS]), 0, 0};
    if (usual.beats < template->max_beats) return NULL;
    usual.roughness = attribute(patient->template, names[LOG_ROUGHNESS]);
    usual.correlation_z = attribute(patient->template, names[CORRELATION_Z]);
    float *like = take(held, known, 'f', 1, &kept);
    Baseline state;
    if (!like || kept != wide || read_baseline(patient->baseline, &state)) return NULL;
    const Baseline was = state;
    int sure[2] = {log_odds < limits->doubt, attribute(patient->atria, names[WAS_LOG_ODDS]) < limits->doubt};
    int remembered = 0, changed[MAX_BEATS], certain[MAX_BEATS], label[MAX_BEATS];
    double classes[MAX_BEATS][CLASSES];
    float learnt[MAX_WIDE], fresh[MAX_WIDE];
    memcpy(learnt, like, wide * sizeof *like);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *row = PyList_GetItem(given_rows, i);
        label[i] = (int)PyLong_AsLong(PyList_GetItem(given_labels, i));
        for (int k = 0; k < CLASSES; k++) classes[i][k] = PyFloat_AsDouble(PyList_GetItem(row, k));
        certain[i] = label[i] <= S && classes[i][N] + classes[i][S] >= limits->min_atrial;
        Compared compared = {0};
        const Usual usual_before = usual;
        const Baseline before = state;
        int remembers =
            compared_with(template, classes[i][N], around[i], reach / STEP, learnt, fresh, wide, &usual, &compared);
        changed[i] = by_template(classes[i], &label[i], &compared, limits);
        int closed = patient->second >= floor(at[i] / model->limits->fs); /* the second before the beat's is */
        double n = classes[i][N], s = classes[i][S];
        double premature = next(&state, model->intervals, at[i], label[i], n, s, sure[closed]);
        if (!isnan(premature)) {
            classes[i][N] = (n + s) * (1 - premature);
            classes[i][S] = (n + s) * premature;
            label[i] = chosen(classes[i], limits->weights, S + 1);
            changed[i] = 1;
        }
        if (label[i] == S || label[i] == V) {
            Py_ssize_t from = samples + (Py_ssize_t)(at[i] + model->look->first - patient->taken);
            if (from < 0 || at[i] + model->look->last > patient->taken) return NULL;
            const Patients patients = {learnt, wide, usual_before.correlation_z, usual_before.roughness,
                                       usual_before.beats, before.previous, before.previous_atrial,
                                       before.log_interval};
            double odds = artefact_log_odds(model->look, model->artefact, model->units, recent + from, classes[i],
                                            label[i], &patients, at[i]);
            if (odds >= (label[i] == V ? model->look->v : model->look->s)) return NULL;
        }
        if (remembers) {
            memcpy(learnt, fresh, wide * sizeof *learnt);
            remembered = 1;
        }
    }
    if (PyErr_Occurred()) return NULL;
    /* From here on all is kept. */
    PyObject *rows = PyList_New(count), *labels = PyList_New(count);
    for (Py_ssize_t i = 0; rows && labels && i < count; i++) {
        PyObject *row = Py_NewRef(PyList_GetItem(given_rows, i));
        if (changed[i]) {
            Py_DECREF(row);
            row = PyList_New(CLASSES);
            for (int k = 0; row && k < CLASSES; k++) PyList_SetItem(row, k, PyFloat_FromDouble(classes[i][k]));
        }
        PyList_SetItem(rows, i, row);
        PyList_SetItem(labels, i, PyLong_FromLong(label[i]));
        append(waiting, named(model->tracked_beat, Py_BuildValue("OidN", PyList_GetItem(moments, i), label[i],
                                                                 (double)(float)classes[i][label[i]],
                                                                 PyBool_FromLong(certain[i]))));
    }
    write_baseline(patient->baseline, &state, &was);
    if (remembered) {
        memcpy(like, learnt, wide * sizeof *like);
        set(patient->template, names[BEATS], PyFloat_FromDouble(usual.beats));
        set(patient->template, names[LOG_ROUGHNESS], PyFloat_FromDouble(usual.roughness));
        set(patient->template, names[CORRELATION_Z], PyFloat_FromDouble(usual.correlation_z));
    }
    return named(model->beats, Py_BuildValue("ONN", moments, rows, labels));
}

/* True if a heart rate over the last intervals is neither fast nor slow: `Rates.on_beat`. */
static int rate_is_usual(const double *intervals, Py_ssize_t count, const Limits *limits) {
    Py_ssize_t beats = (Py_ssize_t)limits->rate_beats;
    double sum = 0;
    if (count < beats) return 0;
    for (Py_ssize_t i = count - beats; i < count; i++) sum += intervals[i];
    double rate = 60.0 * limits->fs * limits->rate_beats / sum;
    return limits->bradycardia_bpm <= rate && rate <= limits->tachycardia_bpm;
}

typedef struct {
    double sample, score;
    int label, atrial;
} Beat;

/* The beats before a sample among those that wait; -1 if there are more than `MAX_BEATS`, or one is none. */
static int beats_before(PyObject *waiting, double end, Beat *beats) {
    int count = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(waiting); i++) {
        PyObject *one = PyList_GetItem(waiting, i);
        if (!PyTuple_Check(one) || PyTuple_Size(one) != 4) return -1;
        double sample = PyFloat_AsDouble(PyTuple_GetItem(one, 0));
        long label = PyLong_AsLong(PyTuple_GetItem(one, 1));
        if (sample >= end) break;
        if (count == MAX_BEATS || label < 0 || label >= CLASSES) return -1;
        beats[count++] = (Beat){sample, PyFloat_AsDouble(PyTuple_GetItem(one, 2)), (int)label,
                                PyObject_IsTrue(PyTuple_GetItem(one, 3))};
    }
    return count;
}

/* Take the next beat into a run: `Runs.on_beat`. False if an event may begin. */
static int run_goes_on(Run *run, const Beat *beat, const Limits *limits) {
    int early = beat->label == S || beat->label == V;
    if (beat->label != run->label) {
        if (run->label == V && run->count == 2) return 0; /* a couplet */
        *run = (Run){NO_LABEL, 0, 0, 0, 0};
        if (!early) return 1;
        *run = (Run){beat->label, 0, beat->sample, beat->sample, 0};
    }
    run->count++;
    run->end = beat->sample;
    run->scores += beat->score;
    return run->count < limits->run_beats;
}

/* Take the next beat into a pattern: `Patterns.on_beat`. False if an event may begin. */
static int pattern_goes_on(Pattern *pattern, const Beat *beat, const Limits *limits) {
    if (beat->label != V) {
        pattern->others++;
        if (pattern->count >= 2 && pattern->others > pattern->gap) {
            pattern->gap = 0;
            pattern->count = 1;
            pattern->start = pattern->end;
            pattern->scores = pattern->last_score;
        }
        return 1;
    }
    if (pattern->count >= 2 && pattern->others == pattern->gap) {
        pattern->count++;
        pattern->scores += beat->score;
    } else if (pattern->count && (pattern->others == 1 || pattern->others == 2)) {
        pattern->gap = pattern->others;
        pattern->count = 2;
        pattern->start = pattern->end;
        pattern->scores = pattern->last_score + beat->score;
    } else {
        *pattern = (Pattern){0, 1, beat->sample, beat->sample, 0, beat->score, 0};
    }
    pattern->others = 0;
    pattern->end = beat->sample;
    pattern->last_score = beat->score;
    return pattern->count < limits->pattern_beats;
}

/* True if beats neither are of a run or a pattern, nor end one. */
static int is_quiet(const Patient *patient, const Beat *beats, int count) {
    for (int i = 0; i < count; i++)
        if (beats[i].label == S || beats[i].label == V) return 0;
    return attribute(patient->runs, run_names[0]) == NO_LABEL &&
           attribute(patient->patterns, pattern_names[COUNT]) < 2;
}

/* How even the last intervals are: `atrial.AtrialState`. */
typedef struct {
    double beats, mean, square;
} Even;

/* Take an interval, as the second graph reads it: `AtrialState.take_interval`. */
static void take_interval(Even *even, double log_interval, double most_beats) {
    even->beats = even->beats + 1 < most_beats ? even->beats + 1 : most_beats;
    double late = log_interval - even->mean;
    double square = late * late * (1 - 1 / even->beats) - even->square;
    even->mean = (float)(even->mean + late / even->beats);
    even->square = (float)(even->square + square / even->beats);
}

/* Close the next second, if it is an ordinary one: `tracker._close`. False if it is not, and nothing has changed. */
static int closed(Held *held, const Model *model, const Patient *patient) {
    const Limits *limits = model->limits;
    PyObject *seconds = patient->seconds, *signal = patient->signal, *history = patient->history;
    PyObject *atria = patient->atria, *ventricles = patient->ventricles;
    PyObject *ecg = borrowed(signal, names[ECG_60HZ]), *kept = borrowed(atria, names[MEMORY]), *means = borrowed(atria, names[P_WAVES]);
    PyObject *coming = borrowed(history, names[PREVIOUS_BEAT]), *before = borrowed(atria, names[PREVIOUS_BEAT]);
    PyObject *last_interval = borrowed(atria, names[LAST_INTERVAL]), *flaws = list_in(signal, FLAWS);
    PyObject *windows = list_in(signal, WINDOWS), *waiting = list_in(patient->tracked, WAITING);
    PyObject *intervals = list_in(history, INTERVALS), *moments = list_in(atria, MOMENTS), *window;
    Py_ssize_t samples, cells, wide, size = model->waves;
    if (!ecg || !kept || !means || !coming || !before || !last_interval || !flaws || !windows || !waiting ||
        !intervals || !moments || coming == Py_None || before == Py_None || !PyList_Size(windows))
        return 0;
    double fibrillation = attribute(atria, names[LOG_ODDS]);
    if (fibrillation >= model->labels->onset) return 0;
    const float *at_60hz = take(held, ecg, 'f', 0, &samples);
    float *memory = at_60hz ? take(held, kept, 'f', 1, &cells) : NULL;
    float *p_waves = memory ? take(held, means, 'f', 1, &wide) : NULL;
    if (!p_waves || cells != model->cells || wide != MEANS * (size + 1)) return 0;
    double second = patient->second, base = attribute(seconds, names[BASE]);
    double start = second * limits->fs, stop = start + limits->fs;
    int moves = second >= limits->half_window; /* the second leaves */
    /* Its signal. */
    if (stop > patient->taken) return 0;
    for (Py_ssize_t i = 0; i < PyList_Size(flaws) && i < limits->window; i++)
        if (PyObject_IsTrue(PyList_GetItem(flaws, i))) return 0;
    window = PyList_GetItem(windows, 0);
    if (!PyTuple_Check(window) || PyTuple_Size(window) != 4 || PyObject_IsTrue(PyTuple_GetItem(window, 3)) ||
        PyFloat_AsDouble(PyTuple_GetItem(window, 1)) >= limits->noise ||
        PyFloat_AsDouble(PyTuple_GetItem(window, 2)) >= limits->lasting_noise)
        return 0;
    double vf = attribute(ventricles, names[LOG_ODDS]), observed = PyFloat_AsDouble(PyTuple_GetItem(window, 0));
    int rests = vf <= limits->vf_low, flutters = !rests && vf >= limits->vf_high;
    vf = (float)(clipped(vf, limits->vf_low, limits->vf_high) +
                 limits->vf_weight *
                     (clipped(observed, -limits->vf_largest, limits->vf_largest) - limits->vf_prior));
    if (vf >= limits->vf_on) return 0;
    /* Its beats. */
    Beat beats[MAX_BEATS];
    int count = beats_before(waiting, stop, beats);
    Py_ssize_t known = PyList_Size(intervals), judged = PyList_Size(moments);
    if (count < 0 || known > MAX_INTERVALS - MAX_BEATS || !PyTuple_Check(coming) || !judged) return 0;
    double spans[MAX_INTERVALS], clear = attribute(history, names[CLEAR]);
    double last = PyFloat_AsDouble(PyTuple_GetItem(coming, 0));
    Run run = {0};
    Pattern pattern = {0};
    int quiet = is_quiet(patient, beats, count); /* nearly always: other beats are only counted */
    if (!quiet) {
        read_numbers(patient->patterns, pattern_names, PATTERN_FIELDS, &pattern);
        read_numbers(patient->runs, run_names, RUN_FIELDS, &run);
    }
    const Run first_run = run;
    const Pattern first_pattern = pattern;
    for (Py_ssize_t i = 0; i < known; i++) spans[i] = PyFloat_AsDouble(PyList_GetItem(intervals, i));
    for (int i = 0; i < count; i++) {
        double span = beats[i].sample - last > 1 ? beats[i].sample - last : 1;
        spans[known + i] = span;
        if (beats[i].sample - clear >= limits->silent || span >= limits->pause ||
            !rate_is_usual(spans, known + i + 1, limits) ||
            (!quiet && !(run_goes_on(&run, &beats[i], limits) && pattern_goes_on(&pattern, &beats[i], limits))))
            return 0;
        last = clear = beats[i].sample;
    }
    if (stop - clear >= limits->silent) return 0;
    /* What the second graph reads of them. */
    float carried[MAX_CELLS], learning[MEANS * (MAX_WAVE + 1)], row[INPUTS], answers[2] = {0};
    memcpy(carried, memory, cells * sizeof *carried);
    memcpy(learning, p_waves, MEANS * (size + 1) * sizeof *learning);
    Atria reads = {learning, size, (Py_ssize_t)attribute(atria, names[P_WAVE_BEATS]), PyFloat_AsDouble(before),
                   last_interval == Py_None ? NAN : PyFloat_AsDouble(last_interval)};
    Even even = {attribute(atria, names[EVEN_BEATS]), attribute(atria, names[EVEN_MEAN]),
                 attribute(atria, names[EVEN_SQUARE])};
    Py_ssize_t moment = judged, gone = 0;
    for (int i = 0; i < count; i++) {
        Py_ssize_t place = (Py_ssize_t)floor((beats[i].sample - base * limits->fs) * limits->rate / limits->fs);
        Py_ssize_t first = place + (Py_ssize_t)limits->p_wave_first, least = moves ? (Py_ssize_t)limits->rate : 0;
        const float *wave = first >= least && first + size <= samples ? at_60hz + first : NULL;
        read_beat(&reads, model->atrial, model->detrend, model->learnt, beats[i].sample, beats[i].atrial, wave, row);
        if (row[1]) take_interval(&even, row[0], limits->even_beats);
        gru_step(row, INPUTS, model->wide, model->weights, (int)cells, carried, answers);
        if (++moment - gone > limits->lag + 1) {
            if (answers[1] >= limits->af_on) return 0;
            gone++;
        }
    }
    if (PyErr_Occurred()) return 0;
    /* It is an ordinary one: from here on all is kept. */
    set(atria, names[WAS_FIBRILLATING], Py_NewRef(Py_False));
    set(atria, names[WAS_LOG_ODDS], PyFloat_FromDouble(fibrillation));
    set(seconds, names[NEXT], PyLong_FromDouble(second + 1));
    if (moves) {
        set(seconds, names[BASE], PyLong_FromDouble(base + 1));
        set(signal, names[ECG_60HZ], PySequence_GetSlice(ecg, (Py_ssize_t)limits->rate, samples));
        drop(flaws, 1);
        drop(windows, 1);
    }
    set(patient->tracked, names[FLAWS], PyLong_FromLong(0));
    if (rests) set(ventricles, names[SINCE], PyLong_FromDouble(floor((start + stop) / 2)));
    if (flutters) set(ventricles, names[UNTIL], PyLong_FromDouble(floor((start + stop) / 2)));
    set(ventricles, names[LOG_ODDS], PyFloat_FromDouble(vf));
    if (!count) return 1;
    memcpy(memory, carried, cells * sizeof *carried);
    memcpy(p_waves, learning, MEANS * (size + 1) * sizeof *learning);
    set(atria, names[PREVIOUS_BEAT], PyLong_FromDouble(reads.previous));
    set(atria, names[LAST_INTERVAL],
        isnan(reads.log_interval) ? Py_NewRef(Py_None) : PyFloat_FromDouble(reads.log_interval));
    set(atria, names[P_WAVE_BEATS], PyLong_FromSsize_t(reads.known));
    set(atria, names[EVEN_BEATS], PyLong_FromDouble(even.beats));
    set(atria, names[EVEN_MEAN], PyFloat_FromDouble(even.mean));
    set(atria, names[EVEN_SQUARE], PyFloat_FromDouble(even.square));
    set(atria, names[BEATS],
        PyLong_FromDouble(clipped(attribute(atria, names[BEATS]) + count, 0, limits->known_beats)));
    set(atria, names[LOG_ODDS], PyFloat_FromDouble(answers[0]));
    for (int i = 0; i < count; i++) append(moments, PyLong_FromDouble(beats[i].sample));
    drop(moments, gone);
    for (int i = 0; i < count; i++) append(intervals, PyLong_FromDouble(spans[known + i]));
    drop(intervals, known + count - (Py_ssize_t)limits->max_intervals);
    if (quiet) {
        double others = attribute(patient->patterns, pattern_names[OTHERS]) + count;
        set(patient->patterns, pattern_names[OTHERS], PyLong_FromDouble(others));
    } else {
        write_numbers(patient->patterns, pattern_names, PATTERN_FIELDS, PATTERN_WHOLE, &pattern, &first_pattern);
        write_numbers(patient->runs, run_names, RUN_FIELDS, RUN_WHOLE, &run, &first_run);
    }
    set(history, names[PREVIOUS_BEAT], Py_NewRef(PyList_GetItem(waiting, count - 1)));
    set(history, names[CLEAR], PyLong_FromDouble(last));
    set(history, names[SEEN], PyLong_FromDouble(last));
    drop(waiting, count);
    return 1;
}

/* Seconds that can be closed: `Seconds.ready`. */
static Py_ssize_t ready(const Patient *patient, const Limits *limits, double decided) {
    PyObject *windows = list_in(patient->signal, WINDOWS);
    Py_ssize_t known = windows ? PyList_Size(windows) : 0;
    if (known && patient->second < limits->half_window)
        known += (Py_ssize_t)(limits->half_window - patient->second);
    Py_ssize_t due = (Py_ssize_t)floor(decided + 1e-9) - (Py_ssize_t)patient->second;
    return due < 0 ? 0 : due < known ? due : known;
}

/* Follow one patient: the beats, or NULL if the rules have to, and nothing has changed. `left` becomes true if
 * they have to close the next second. */
static PyObject *followed(Held *held, const Model *model, PyObject *context, PyObject *beats, double decided,
                          int *left) {
    PyObject *holders[PARTS];
    if (!PyTuple_Check(context) || PyTuple_Size(context) != PARTS + 1 || /* the last is of the model */
        !PyTuple_Check(beats) ||
        PyTuple_Size(beats) != 3)
        return NULL;
    for (int i = 0; i < PARTS; i++) holders[i] = PyTuple_GetItem(context, i);
    PyObject *open = borrowed(holders[LEDGER], names[OPEN]), *recent = borrowed(holders[SECONDS_OF], names[RECENT]);
    if (!open || !recent || PyDict_Size(open)) return NULL;
    Patient patient = {.seconds = holders[SECONDS_OF],
                       .signal = borrowed(holders[SECONDS_OF], names[STATE]),
                       .tracked = holders[TRACKED],
                       .history = holders[HISTORY],
                       .template = borrowed(holders[TEMPLATE_OF], names[STATE]),
                       .baseline = borrowed(holders[BASELINE_OF], names[STATE]),
                       .atria = borrowed(holders[ATRIA_OF], names[STATE]),
                       .ventricles = borrowed(holders[VENTRICLES_OF], names[STATE]),
                       .patterns = borrowed(holders[PATTERNS_OF], names[STATE]),
                       .runs = borrowed(holders[RUNS_OF], names[STATE])};
    if (PyErr_Occurred()) return NULL;
    patient.second = attribute(patient.seconds, names[NEXT]);
    patient.taken = attribute(patient.signal, names[TAKEN]);
    patient.ready = ready(&patient, model->limits, decided);
    PyObject *moments = PyTuple_GetItem(beats, 0), *found = NULL;
    Py_ssize_t samples, kept = (Py_ssize_t)model->labels->kept;
    if (patient.ready > 1 || !PyList_Check(moments)) return NULL;
    const float *signal = take(held, recent, 'f', 0, &samples);
    if (!signal) return NULL;
    found = PyList_Size(moments) ? relabelled(held, model, &patient, beats, signal, samples) : Py_NewRef(beats);
    if (!found) return NULL;
    *left = patient.ready && !closed(held, model, &patient);
    if (!*left && samples > kept) /* `Seconds.forget` */
        set(patient.seconds, names[RECENT], PySequence_GetSlice(recent, samples - kept, samples));
    return found;
}

/* follow(contexts, beats, decided, limits 'd' of template, intervals, labels, seconds, artefact, its network, and
 * limits of atria, detrend 'f', learnt 'f', embedded, weights 'f', cells, TrackedBeat, Beats) -> for each patient the beats that came, or None, and
 * the places of those whose next second the rules have to close. None stands for the context of a patient
 * who is left to them. */
static PyObject *follow(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    static const char types[] = "dddddddfff";
    enum { FIRST = 3, ARRAYS = sizeof types - 1 };
    Held held = {.count = 0};
    Py_ssize_t sizes[ARRAYS];
    const void *arrays[ARRAYS];
    if (given != 17 || !PyList_Check(args[0]) || !PyList_Check(args[1]) || !PyList_Check(args[2]))
        return refuse(&held, "expected 17 arguments, of which three are lists");
    for (int i = 0; i < ARRAYS; i++) {
        arrays[i] = take(&held, args[FIRST + i + (i == ARRAYS - 1)], types[i], 0, &sizes[i]);
        if (!arrays[i]) return done(&held, NULL);
    }
    Model model = {.template = arrays[0],
                         .intervals = arrays[1],
                         .labels = arrays[2],
                         .limits = arrays[3],
                         .look = arrays[4],
                         .artefact = arrays[5],
                         .atrial = arrays[6],
                         .detrend = arrays[7],
                         .learnt = arrays[8],
                         .weights = arrays[9],
                         .wide = (int)PyLong_AsLong(args[12]),
                         .cells = PyLong_AsSsize_t(args[14]),
                         .waves = (Py_ssize_t)(((const Limits *)arrays[3])->p_wave_last -
                                               ((const Limits *)arrays[3])->p_wave_first),
                         .tracked_beat = args[15],
                         .beats = args[16]};
    const size_t sizes_of[] = {sizeof *model.template, sizeof *model.intervals, sizeof *model.labels,
                               sizeof *model.limits};
    int fit = !PyErr_Occurred() && sizes[7] == model.waves * model.waves &&
              look_fits(model.look, sizes[4], sizes[5], &model.units) &&
              sizes[6] == sizeof *model.atrial / sizeof(double);
    for (int i = 0; i < 4; i++) fit = fit && sizes[i] == (Py_ssize_t)(sizes_of[i] / sizeof(double));
    int reach = fit ? (int)(model.labels->after - model.labels->before) : 0;
    Py_ssize_t count = PyList_Size(args[0]);
    if (!fit || model.waves < 1 || model.waves > MAX_WAVE || model.labels->wide >= 32 || model.cells < 1 ||
        !usual_fits(model.look, (Py_ssize_t)model.labels->wide) ||
        sizes[8] != MEANS * ((Py_ssize_t)model.atrial->most_beats + 1) ||
        !weights_fit(sizes[9], INPUTS, model.wide, model.cells) || model.template->peak_start < 0 ||
        model.template->peak_stop > reach || reach / STEP > MAX_WIDE || PyList_Size(args[1]) != count ||
        PyList_Size(args[2]) != count)
        return refuse(&held, "the sizes do not fit");
    PyObject *all = PyList_New(count), *rest = PyList_New(0);
    const int always = held.count;
    for (Py_ssize_t i = 0; all && rest && i < count; i++) {
        PyObject *context = PyList_GetItem(args[0], i), *found = NULL;
        int left = 0;
        if (context != Py_None && !PyErr_Occurred())
            found = followed(&held, &model, context, PyList_GetItem(args[1], i),
                             PyFloat_AsDouble(PyList_GetItem(args[2], i)), &left);
        while (held.count > always) PyBuffer_Release(&held.arrays[--held.count]);
        if (left) append(rest, PyLong_FromSsize_t(i));
        PyList_SetItem(all, i, found ? found : Py_NewRef(Py_None));
    }
    return done(&held, Py_BuildValue("NN", all, rest));
}

static PyMethodDef methods[] = {FAST(follow), {NULL, NULL, 0, NULL}};

static int prepared(PyObject *module) {
    return interned(names, NAMES, FIELDS) || interned(baseline_names, BASELINE_NAMES, BASELINE_FIELDS) ||
                   interned(run_names, RUN_NAMES, RUN_FIELDS) ||
                   interned(pattern_names, PATTERN_NAMES, PATTERN_FIELDS)
               ? -1
               : 0;
}

MODULE(ordinary, prepared)
